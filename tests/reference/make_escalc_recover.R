# Recoveries and conversions with R's own distributions for tests/effects/test_recover.py and test_convert.py.
#
#   Rscript tests/reference/make_escalc_recover.R OUT.json
#
# Nothing here is taken from a package but SMCR (metafor); the definitions are those of the papers cited in
# the docstrings, written a second time, with optim, uniroot and integrate doing the searching.

suppressMessages(library(metafor))
out <- commandArgs(trailingOnly = TRUE)[[1]]
set.seed(4)
found <- list()

# --- quantiles of t, SDs from P values and intervals -----------------------------------------------------
k <- 40
p <- signif(10^runif(k, -7, -0.02), 3)
n1 <- sample(2:90, k, TRUE)
n2 <- sample(2:90, k, TRUE)
md <- round(rnorm(k, 0, 5), 2) + 0.01
df <- n1 + n2 - 2
t <- qt(p / 2, df, lower.tail = FALSE)
found$p_values <- data.frame(
  p = p, n1 = n1, n2 = n2, md = md, t = t, one_sided = qt(p, df, lower.tail = FALSE), z = qnorm(p / 2, lower.tail = FALSE),
  se = abs(md) / t, sd = abs(md) / t / sqrt(1 / n1 + 1 / n2), sd_one = abs(md) / qt(p / 2, n1 - 1, lower.tail = FALSE) * sqrt(n1)
)
low <- round(rnorm(k, 0, 3), 2)
high <- low + round(runif(k, 0.1, 9), 2)
level <- sample(c(0.9, 0.95, 0.99), k, TRUE)
found$intervals <- data.frame(
  low = low, high = high, n1 = n1, n2 = n2, level = level,
  t_one = (high - low) / 2 / qt(0.5 + level / 2, n1 - 1) * sqrt(n1),
  z_one = (high - low) / 2 / qnorm(0.5 + level / 2) * sqrt(n1),
  t_two = (high - low) / 2 / qt(0.5 + level / 2, df) / sqrt(1 / n1 + 1 / n2),
  se = (high - low) / 2 / qnorm(0.5 + level / 2)
)
hr_low <- signif(exp(rnorm(k, -0.5, 0.5)), 3)
hr_high <- signif(hr_low * exp(runif(k, 0.1, 2)), 3)
found$ratios <- data.frame(low = hr_low, high = hr_high, se = (log(hr_high) - log(hr_low)) / 2 / qnorm(0.975))

# --- groups combined, correlation from SDs: from people, not from formulas ---------------------------------
groups <- lapply(1:12, function(i) {
  parts <- lapply(seq_len(sample(2:4, 1)), function(j) rnorm(sample(2:30, 1), runif(1, -20, 20), runif(1, 0.5, 8)))
  all <- unlist(parts)
  list(m = vapply(parts, mean, 0), sd = vapply(parts, sd, 0), n = lengths(parts), mean_all = mean(all), sd_all = sd(all))
})
pre_post <- t(vapply(1:12, function(i) {
  before <- rnorm(25, 20, 5)
  after <- 0.6 * before + rnorm(25, 5, 4)
  c(before = sd(before), after = sd(after), change = sd(after - before), r = cor(before, after))
}, numeric(4)))

# --- McGrath et al. 2020: quantile estimation, each family by optim from many starts -----------------------
summaries <- data.frame(
  low = c(2, NA, 1, NA, 0.5, NA, 10, NA), q1 = c(NA, 5, 5, 0.2, NA, -5, 22, 30),
  median = c(4, 8, 8, 0.3, 3, 8, 30, 41), q3 = c(NA, 12, 12, 0.5, NA, 12, 35, 47),
  high = c(9, NA, 30, NA, 5, NA, 48, NA), n = c(100, 40, 40, 60, 25, 40, 75, 33)
)
families <- list(
  normal = list(q = function(p, a, b) qnorm(p, a, exp(b)), m = function(a, b) c(a, exp(b))),
  "log-normal" = list(q = function(p, a, b) qlnorm(p, a, exp(b)), m = function(a, b) {
    v <- exp(2 * b)
    c(exp(a + v / 2), exp(a + v / 2) * sqrt(expm1(v)))
  }),
  gamma = list(q = function(p, a, b) qgamma(p, exp(a), scale = exp(b)), m = function(a, b) c(exp(a + b), exp(a / 2 + b))),
  Weibull = list(q = function(p, a, b) qweibull(p, exp(a), exp(b)), m = function(a, b) {
    g <- function(x) gamma(1 + x / exp(a))
    c(exp(b) * g(1), exp(b) * sqrt(g(2) - g(1)^2))
  }),
  beta = list(q = function(p, a, b) qbeta(p, exp(a), exp(b)), m = function(a, b) {
    s <- exp(a) + exp(b)
    c(exp(a) / s, sqrt(exp(a + b) / (s + 1)) / s)
  })
)
quantile_fit <- function(s) {
  q <- as.numeric(s[c("low", "q1", "median", "q3", "high")])
  pr <- c(1 / s[["n"]], 0.25, 0.5, 0.75, 1 - 1 / s[["n"]])[!is.na(q)]
  q <- q[!is.na(q)]
  use <- if (q[1] < 0) "normal" else if (q[length(q)] < 1) names(families) else setdiff(names(families), "beta")
  centre <- median(q)
  spread <- diff(range(q)) / 2
  starts <- list(
    normal = list(c(centre, log(spread))), "log-normal" = list(c(log(abs(centre)), -1), c(log(abs(centre)), 0)),
    gamma = lapply(c(0, 1, 2, 3, 4), function(a) c(a, log(abs(centre)) - a)),
    Weibull = lapply(c(0, 0.5, 1, 1.5, 2), function(a) c(a, log(abs(centre)))),
    beta = lapply(c(0, 1, 2), function(a) c(a, a + 0.5))
  )
  best <- list(value = Inf)
  for (name in use) {
    f <- families[[name]]
    loss <- function(x) {
      d <- suppressWarnings(sum((f$q(pr, x[1], x[2]) - q)^2))
      if (is.finite(d)) d else 1e10
    }
    for (start in starts[[name]]) {
      fit <- optim(start, loss, control = list(maxit = 20000, reltol = 1e-15))
      fit <- optim(fit$par, loss, control = list(maxit = 20000, reltol = 1e-16))
      if (fit$value < best$value - 1e-13) best <- list(value = fit$value, name = name, moments = f$m(fit$par[1], fit$par[2]))
    }
  }
  list(name = best$name, distance = best$value, mean = best$moments[1], sd = best$moments[2])
}
qe <- lapply(seq_len(nrow(summaries)), function(i) quantile_fit(unlist(summaries[i, ])))

# --- Luo, Wan, Shi -----------------------------------------------------------------------------------------
luo <- function(s) {
  n <- s[["n"]]
  if (is.na(s[["low"]])) {
    w <- 0.7 + 0.39 / n
    return(w * (s[["q1"]] + s[["q3"]]) / 2 + (1 - w) * s[["median"]])
  }
  if (is.na(s[["q1"]])) {
    w <- 4 / (4 + n^0.75)
    return(w * (s[["low"]] + s[["high"]]) / 2 + (1 - w) * s[["median"]])
  }
  w1 <- 2.2 / (2.2 + n^0.75)
  w2 <- 0.7 - 0.72 / n^0.55
  w1 * (s[["low"]] + s[["high"]]) / 2 + w2 * (s[["q1"]] + s[["q3"]]) / 2 + (1 - w1 - w2) * s[["median"]]
}
wan <- function(s, shi) {
  n <- s[["n"]]
  a <- qnorm((n - 0.375) / (n + 0.25))
  b <- qnorm((0.75 * n - 0.125) / (n + 0.25))
  if (is.na(s[["low"]])) return((s[["q3"]] - s[["q1"]]) / 2 / b)
  if (is.na(s[["q1"]])) return((s[["high"]] - s[["low"]]) / 2 / a)
  if (!shi) return((s[["high"]] - s[["low"]]) / 4 / a + (s[["q3"]] - s[["q1"]]) / 4 / b)
  (s[["high"]] - s[["low"]]) / ((2 + 0.14 * n^0.6) * a) + (s[["q3"]] - s[["q1"]]) / ((2 + 2 / (0.07 * n^0.6)) * b)
}
rows <- lapply(seq_len(nrow(summaries)), function(i) unlist(summaries[i, ]))
closed <- data.frame(
  luo = vapply(rows, luo, 0), wan_sd = vapply(rows, wan, 0, shi = FALSE), shi_sd = vapply(rows, wan, 0, shi = TRUE)
)

# --- Box-Cox: power by optimize, moments by integrate -------------------------------------------------------
box_cox <- function(s) {
  if (min(s[c("low", "q1", "median")], na.rm = TRUE) <= 0) return(c(NA, NA, NA))
  tr <- function(x, l) if (abs(l) < 1e-8) log(x) else (x^l - 1) / l
  loss <- function(l) {
    y <- tr(s[c("low", "q1", "median", "q3", "high")], l)
    r <- c((y[[4]] - y[[3]]) / (y[[3]] - y[[2]]) - 1, (y[[5]] - y[[3]]) / (y[[3]] - y[[1]]) - 1)
    sum(r^2, na.rm = TRUE)
  }
  l <- max(0, optimize(loss, c(-2, 3), tol = 1e-12)$minimum)
  y <- s
  y[c("low", "q1", "median", "q3", "high")] <- tr(s[c("low", "q1", "median", "q3", "high")], l)
  mu <- luo(y)
  sigma <- wan(y, FALSE)
  if (l == 0) return(c(l, exp(mu + sigma^2 / 2), exp(mu + sigma^2 / 2) * sqrt(expm1(sigma^2))))
  ends <- c(-1 / l, 2 * mu + 1 / l)
  # what is more than 12 SD away is nothing, but integrate would miss the rest between such ends
  ends <- c(max(ends[1], mu - 12 * sigma), min(ends[2], mu + 12 * sigma))
  whole <- pnorm(ends[2], mu, sigma) - pnorm(ends[1], mu, sigma)
  f <- function(x, q) dnorm(x, mu, sigma) / whole * pmax(x * l + 1, 0)^(q / l)
  m <- integrate(f, ends[1], ends[2], q = 1, rel.tol = 1e-11, subdivisions = 2000)$value
  v <- integrate(function(x) dnorm(x, mu, sigma) / whole * (pmax(x * l + 1, 0)^(1 / l) - m)^2, ends[1], ends[2], rel.tol = 1e-11, subdivisions = 2000)$value
  c(l, m, sqrt(v))
}
bc <- t(vapply(rows, box_cox, numeric(3)))

# --- against a control group: Morris (2008), the five studies of Carlson and Schmidt -------------------------
T1 <- data.frame(pre = c(30.6, 23.5, 0.5, 53.4, 35.6), post = c(38.5, 26.8, 0.7, 75.9, 36.0), sd = c(15.0, 3.1, 0.1, 14.5, 4.7), n = c(20, 50, 9, 10, 14))
C1 <- data.frame(pre = c(23.1, 24.9, 0.6, 55.7, 34.8), post = c(19.7, 25.3, 0.6, 60.7, 33.4), sd = c(13.8, 4.1, 0.2, 17.3, 3.1), n = c(20, 42, 9, 11, 14))
r <- c(0.47, 0.64, 0.77, 0.89, 0.44)
gT <- escalc("SMCR", m1i = T1$post, m2i = T1$pre, sd1i = T1$sd, ni = T1$n, ri = r)
gC <- escalc("SMCR", m1i = C1$post, m2i = C1$pre, sd1i = C1$sd, ni = C1$n, ri = r)
m <- T1$n + C1$n - 2
j <- sqrt(2 / m) * gamma(m / 2) / gamma((m - 1) / 2)
pooled <- sqrt(((T1$n - 1) * T1$sd^2 + (C1$n - 1) * C1$sd^2) / m)
g2 <- j * ((T1$post - T1$pre) - (C1$post - C1$pre)) / pooled
a <- (T1$n + C1$n) / (T1$n * C1$n)
found$morris <- data.frame(
  pre1 = T1$pre, post1 = T1$post, sd1 = T1$sd, n1 = T1$n, pre2 = C1$pre, post2 = C1$post, sd2 = C1$sd, n2 = C1$n, r = r,
  ppc1 = gT$yi - gC$yi, v_ppc1 = gT$vi + gC$vi, ppc2 = g2, v_ppc2 = 2 * (1 - r) * a + g2^2 / (2 * (m + 2)),
  v_morris = 2 * j^2 * (1 - r) * a * m / (m - 2) * (1 + g2^2 / (2 * (1 - r) * a)) - g2^2
)

# --- what an SMD means ---------------------------------------------------------------------------------------
d <- round(seq(-1.5, 1.5, length.out = 11), 2)
rate <- rep(c(0.05, 0.2, 0.35, 0.5, 0.8), length.out = 11)
treated <- pnorm(d + qnorm(rate))
found$meaning <- data.frame(d = d, rate = rate, u3 = pnorm(d), cl = pnorm(d / sqrt(2)), treated = treated, gain = treated - rate)

number <- function(x) {
  text <- sprintf("%.17g", as.numeric(x))
  text[is.na(x)] <- "null"
  paste0("[", paste(text, collapse = ","), "]")
}
frame <- function(d) paste0("{", paste(sprintf("\"%s\":%s", names(d), vapply(d, number, "")), collapse = ","), "}")
parts <- c(
  sprintf("\"made_with\":{\"R\":\"%s\",\"metafor\":\"%s\"}", paste(R.version$major, R.version$minor, sep = "."), as.character(packageVersion("metafor"))),
  sprintf("\"%s\":%s", names(found), vapply(found, frame, "")),
  sprintf("\"groups\":[%s]", paste(vapply(groups, frame, ""), collapse = ",\n")),
  sprintf("\"pre_post\":%s", frame(as.data.frame(pre_post))),
  sprintf("\"summaries\":%s", frame(summaries)),
  sprintf("\"closed\":%s", frame(closed)),
  sprintf("\"box_cox\":%s", frame(data.frame(power = bc[, 1], mean = bc[, 2], sd = bc[, 3]))),
  sprintf("\"qe\":[%s]", paste(vapply(qe, function(x) sprintf(
    "{\"name\":\"%s\",\"distance\":%.17g,\"mean\":%.17g,\"sd\":%.17g}", x$name, x$distance, x$mean, x$sd
  ), ""), collapse = ",\n"))
)
writeLines(paste0("{", paste(parts, collapse = ",\n"), "}"), out)
