# Effects and covariance of two arms against one control, computed as on metafor's page of Gleser and Olkin (2009).
suppressMessages(library(metafor))
m <- c(7.87, 4.35, 9.32); s <- c(4.24, 3.3, 4.5); n <- c(22, 19, 25)
N <- sum(n)
sp <- sqrt(sum((n - 1) * s^2) / (N - 3))
df <- N - 3
J <- exp(lgamma(df / 2) - log(sqrt(df / 2)) - lgamma((df - 1) / 2))
y <- J * (m[1:2] - m[3]) / sp
V <- 1 / n[3] + outer(y, y) / (2 * N)
diag(V) <- 1 / n[1:2] + 1 / n[3] + y^2 / (2 * N)
fit <- rma.mv(y, V)
cat(sprintf("%.17g", c(y, V, coef(fit), fit$se)), sep = "\n")
