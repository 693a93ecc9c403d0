# Cluster wild bootstrap with all sign flips, from metafor's fits and clubSandwich's tests; writes wild.json.gz.
#
#   Rscript tests/reference/make_wild.R [out.json.gz]
#
# Debian: r-cran-metafor, r-cran-clubsandwich, r-cran-jsonlite. For each of the 2^m flips the null model's residuals change
# their signs by cluster, the full model is fitted anew with tau2 as given, and Wald_test(test = "Naive-F") with
# vcovCR(type = "CR1") gives the statistic (Joshi, Pustejovsky, Beretvas 2022, Res Synth Methods 13:457, section 3).
suppressMessages({library(metafor); library(clubSandwich); library(jsonlite)})

args <- commandArgs(trailingOnly = TRUE)
here <- dirname(sub("^--file=", "", grep("^--file=", commandArgs(FALSE), value = TRUE)))
out <- if (length(args)) args[1] else file.path(here, "wild.json.gz")
RNGkind("Mersenne-Twister", "Inversion", "Rejection")
set.seed(20261128)

simulate <- function(m, largest) {
  cluster <- rep(seq_len(m), sample(2:largest, m, replace = TRUE)); k <- length(cluster)
  vi <- signif(exp(runif(k, log(.01), log(.3))), 5); x <- round(rnorm(k), 3); z <- round(rnorm(m), 3)[cluster]
  data.frame(yi = round(.3 + .25 * x + rnorm(m, 0, .3)[cluster] + rnorm(k, 0, sqrt(vi)), 5), vi, x, z, cluster)
}
sets <- list(m6 = simulate(6, 4), m7 = simulate(7, 5), m8 = simulate(8, 3))
tests <- list()
for (id in names(sets)) for (tau2 in c(0, .06)) for (terms in c("mean", "x", "x z")) {
  d <- sets[[id]]; m <- max(d$cluster)
  full <- if (terms == "mean") ~ 1 else ~ x + z
  at <- list(mean = 1, x = 2, "x z" = 2:3)[[terms]]
  null <- switch(terms, mean = NULL, x = ~ z, "x z" = ~ 1)
  fitted <- if (is.null(null)) rep(0, nrow(d)) else fitted(rma(yi, vi, mods = null, data = d, tau2 = tau2))
  e <- d$yi - fitted
  statistic <- function(y) {
    r <- rma(y, d$vi, mods = full, data = d, tau2 = tau2)
    Wald_test(r, constraints = constrain_zero(at), vcov = vcovCR(r, cluster = d$cluster, type = "CR1"), test = "Naive-F")$Fstat
  }
  flips <- as.matrix(expand.grid(rep(list(c(1, -1)), m)))
  all <- apply(flips, 1, function(s) statistic(fitted + s[d$cluster] * e))
  tests[[length(tests) + 1]] <- list(id = id, tau2 = tau2, terms = terms, f = statistic(d$yi), p = mean(all >= statistic(d$yi) - 1e-8), all = sort(as.numeric(all)))
  cat(id, tau2, terms, "\n")
}
versions <- list(R = R.version.string, metafor = as.character(packageVersion("metafor")), clubSandwich = as.character(packageVersion("clubSandwich")))
exact <- function(x) ifelse(is.na(x), NA_character_, sprintf("%.17g", x))
text <- toJSON(rapply(list(versions = versions, data = lapply(names(sets), function(id) c(list(id = id), sets[[id]])), tests = tests),
                      exact, classes = c("numeric", "integer"), how = "replace"), auto_unbox = TRUE, na = "null", null = "null")
con <- gzfile(out, "w", compression = 9); writeLines(text, con); close(con)
cat(length(tests), "tests\n")
