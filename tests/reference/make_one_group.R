# Generalised linear mixed models of one group with metafor's rma.glmm (lme4); writes one_group.json beside itself.
#
#   Rscript tests/reference/make_one_group.R [out.json]
#
# Debian: r-cran-metafor (with r-cran-metadat), r-cran-lme4, r-cran-jsonlite. glmer integrates with 25 nodes and stops
# early. It leaves the constants of the likelihood out, so `loglik` is that of R's own integrate() at its parameters.
suppressMessages({library(metafor); library(lme4); library(jsonlite)})

args <- commandArgs(trailingOnly = TRUE)
here <- dirname(sub("^--file=", "", grep("^--file=", commandArgs(FALSE), value = TRUE)))
out <- if (length(args)) args[1] else file.path(here, "one_group.json")
RNGkind("Mersenne-Twister", "Inversion", "Rejection")
set.seed(20261128)

people <- function(k, base, tau, sizes) { n <- sample(sizes[1]:sizes[2], k, TRUE); list(x = rbinom(k, n, plogis(qlogis(base) + rnorm(k, 0, tau))), n = n) }
time <- function(k, rate, tau) { t <- round(runif(k, 30, 300), 1); list(x = rpois(k, t * rate * exp(rnorm(k, 0, tau))), t = t) }
sets <- list(
  pritz1997 = with(dat.pritz1997, list(x = xi, n = ni)), debruin2009 = with(dat.debruin2009, list(x = xi, n = ni)),
  hannum2020 = with(dat.hannum2020, list(x = xi, n = ni)), common = people(12, .3, .5, c(20, 80)), rare = people(20, .02, .6, c(40, 150)),
  small = people(4, .4, .8, c(8, 20)), same = people(10, .25, 0, c(20, 60)),
  nielweise2008 = with(dat.nielweise2008, list(x = x2i, t = t2i)), hart1999 = with(dat.hart1999, list(x = x2i, t = t2i)),
  dense = time(9, .4, .4), seldom = time(15, .01, .5))
loglik <- function(s, theta, tau) {
  one <- function(i) { f <- if (!is.null(s$n)) function(u) dbinom(s$x[i], s$n[i], plogis(u), log = TRUE) else function(u) dpois(s$x[i], s$t[i] * exp(u), log = TRUE)
    if (tau == 0) return(f(theta))
    g <- function(z) f(theta + tau * z) + dnorm(z, log = TRUE)
    grid <- seq(-12, 12, length.out = 4001); top <- optimize(g, grid[which.max(g(grid))] + c(-.01, .01), maximum = TRUE, tol = 1e-10)  # the peak of a large study is narrow: integrate beside it
    width <- 1 / sqrt(1 + tau^2 * if (!is.null(s$n)) s$n[i] * prod(plogis(c(1, -1) * (theta + tau * top$maximum))) else s$t[i] * exp(theta + tau * top$maximum))
    ends <- top$maximum + width * c(-24, -8, -2, 0, 2, 8, 24)
    pieces <- sapply(1:6, function(j) integrate(function(z) exp(g(z) - top$objective), ends[j], ends[j + 1], rel.tol = 1e-12, subdivisions = 2000)$value)
    top$objective + log(sum(pieces)) }
  sum(sapply(seq_along(s$x), one))
}
num <- function(x) as.numeric(x)
fits <- list()
for (id in names(sets)) for (method in c("EE", "ML")) { s <- sets[[id]]
  call <- if (!is.null(s$n)) function() rma.glmm(measure = "PLO", xi = s$x, ni = s$n, method = method, nAGQ = 25)
          else function() rma.glmm(measure = "IRLN", xi = s$x, ti = s$t, method = method, nAGQ = 25)
  r <- suppressWarnings(suppressMessages(call())); theta <- num(r$beta); tau2 <- num(r$tau2)
  fits[[length(fits) + 1]] <- list(id = id, method = method, est = theta, se = num(r$se), tau2 = tau2, ci = c(num(r$ci.lb), num(r$ci.ub)),
    loglik = loglik(s, theta, sqrt(tau2)))
  cat(id, method, "\n")
}
versions <- list(R = R.version.string, metafor = as.character(packageVersion("metafor")), lme4 = as.character(packageVersion("lme4")),
                 metadat = as.character(packageVersion("metadat")))
data <- lapply(names(sets), function(id) c(list(id = id), lapply(sets[[id]], num)))
writeLines(toJSON(list(versions = versions, data = data, fits = fits), auto_unbox = TRUE, digits = NA, null = "null"), out)
