# Kenward and Roger's adjustment with pbkrtest; writes kenward_roger.json beside itself.
#
#   Rscript tests/reference/make_kenward_roger.R [out.json]
#
# Debian: r-cran-lme4, r-cran-pbkrtest, r-cran-jsonlite. pbkrtest takes models of lme4, which estimate the residual
# variance: so each effect becomes the mean of many rows, m_i of them with a residual variance of `scale`. The more
# rows, the less uncertain that variance is; what it adds goes down with 1/rows, which the test extrapolates.
suppressMessages({library(lme4); library(pbkrtest); library(jsonlite)})

args <- commandArgs(trailingOnly = TRUE)
here <- dirname(sub("^--file=", "", grep("^--file=", commandArgs(FALSE), value = TRUE)))
out <- if (length(args)) args[1] else file.path(here, "kenward_roger.json")
RNGkind("Mersenne-Twister", "Inversion", "Rejection")
set.seed(20261128)

sets <- list(
  six = list(y = c(-.9, -.2, .4, .1, -.6, .8), n = c(3, 8, 15, 30, 6, 20)),
  three = list(y = c(.1, .9, -.4), n = c(10, 4, 25)),
  ten = list(y = c(0, .1, -.4, -.8, -.6, .2, -.3, -.5, 0, -.9), n = c(6, 20, 40, 25, 11, 11, 30, 35, 8, 30)),
  uneven = list(y = c(1.3, -.6, .9, .2), n = c(150, 4, 6, 5)),
  weak = list(y = c(.35, -.2, .25, .4, -.05), n = c(5, 12, 9, 20, 7)))
fit_one <- function(y, n, scale) {
  m <- n * scale; study <- rep(seq_along(n), m)
  noise <- unlist(lapply(m, function(k) { z <- rnorm(k); z <- z - mean(z); z * sqrt((k - 1) * scale / sum(z^2)) }))
  d <- data.frame(value = y[study] + noise, study = factor(study))
  f <- lmer(value ~ 1 + (1 | study), data = d, control = lmerControl(optimizer = "bobyqa", optCtrl = list(rhoend = 1e-12)))
  v <- sigma(f)^2 / m
  list(rows = sum(m), vi = v, tau2 = as.numeric(VarCorr(f)$study), estimate = as.numeric(fixef(f)), unadjusted = as.numeric(vcov(f)),
       adjusted = as.numeric(vcovAdj(f)), df = as.numeric(get_Lb_ddf(f, 1)))
}
fits <- unlist(lapply(names(sets), function(id) lapply(c(4, 8, 16), function(scale)
  c(list(id = id, scale = scale), fit_one(sets[[id]]$y, sets[[id]]$n, scale)))), recursive = FALSE)
versions <- list(R = R.version.string, lme4 = as.character(packageVersion("lme4")), pbkrtest = as.character(packageVersion("pbkrtest")))
writeLines(trimws(toJSON(list(versions = versions, fits = fits), auto_unbox = TRUE, digits = NA, pretty = 1)), out)
cat(length(fits), "fits\n")
