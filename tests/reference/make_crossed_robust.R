# Cluster-robust tests of models with crossed random effects with clubSandwich; writes crossed_robust.json beside itself.
#
#   Rscript tests/reference/make_crossed_robust.R [out.json]
#
# Debian: r-cran-metafor, r-cran-clubsandwich, r-cran-jsonlite. Both groupings cross within the clusters and not beyond them,
# as clubSandwich asks for.
suppressMessages({library(metafor); library(clubSandwich); library(jsonlite)})

args <- commandArgs(trailingOnly = TRUE)
here <- dirname(sub("^--file=", "", grep("^--file=", commandArgs(FALSE), value = TRUE)))
out <- if (length(args)) args[1] else file.path(here, "crossed_robust.json")
RNGkind("Mersenne-Twister", "Inversion", "Rejection")
set.seed(20261128)
quiet <- function(x) suppressWarnings(suppressMessages(x))
num <- function(x) as.numeric(x)

simulate <- function(clusters, a, b, keep, s) {
  d <- expand.grid(cluster = seq_len(clusters), a = seq_len(a), b = seq_len(b)); d <- d[runif(nrow(d)) < keep, ]; k <- nrow(d)
  d$a <- paste(d$cluster, d$a, sep = "-"); d$b <- paste(d$cluster, d$b, sep = "_")
  d$vi <- signif(exp(runif(k, log(.01), log(.2))), 5); d$x <- round(rnorm(k), 3)
  fa <- factor(d$a); fb <- factor(d$b)
  d$yi <- round(.3 + .1 * d$x + rnorm(nlevels(fa), 0, s[1])[fa] + rnorm(nlevels(fb), 0, s[2])[fb] + rnorm(k, 0, sqrt(s[3]^2 + d$vi)), 5)
  d$row <- seq_len(k); d
}
sets <- list(eight = simulate(8, 3, 3, .8, c(.3, .2, .1)), fifteen = simulate(15, 2, 4, .7, c(.3, .3, .2)), plain = simulate(10, 3, 2, .9, c(.25, .25, 0)))
fits <- list()
for (id in names(sets)) for (formula in c("1", "x")) for (rows in c(TRUE, FALSE)) {
  d <- sets[[id]]
  random <- if (rows) list(~ 1 | a, ~ 1 | b, ~ 1 | row) else list(~ 1 | a, ~ 1 | b)
  r <- quiet(rma.mv(yi, vi, mods = as.formula(paste("~", formula)), random = random, data = d))
  for (kind in c("CR0", "CR1", "CR2")) {
    t <- quiet(coef_test(r, vcov = vcovCR(r, cluster = d$cluster, type = kind), test = "Satterthwaite"))
    row <- list(id = id, formula = formula, rows = rows, kind = kind, sigma2 = num(r$sigma2), beta = I(num(r$beta)), se = I(num(t$SE)))
    if (kind == "CR2") row$df <- I(num(if (is.null(t$df_Satt)) t$df else t$df_Satt))
    if (kind == "CR2" && formula == "x") { w <- quiet(Wald_test(r, constraints = constrain_zero(1:2), vcov = vcovCR(r, cluster = d$cluster, type = "CR2"), test = "HTZ"))
      row$htz <- c(num(w$Fstat), num(w$df_denom), num(w$p_val)) }
    fits[[length(fits) + 1]] <- row
  }
}
versions <- list(R = R.version.string, metafor = as.character(packageVersion("metafor")), clubSandwich = as.character(packageVersion("clubSandwich")))
data <- lapply(names(sets), function(id) c(list(id = id), as.list(sets[[id]][c("cluster", "a", "b", "vi", "x", "yi")])))
writeLines(trimws(toJSON(list(versions = versions, data = data, fits = fits), auto_unbox = TRUE, digits = NA)), out)
cat(length(fits), "fits\n")
