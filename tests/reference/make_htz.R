# Joint tests of several contrasts with clubSandwich's HTZ; writes htz.json.gz beside itself.
#
#   Rscript tests/reference/make_htz.R [out.json.gz]
#
# Debian: r-cran-metafor, r-cran-clubsandwich, r-cran-jsonlite. tau2 is given to metafor, so that nothing of an
# optimiser is in the numbers; variances are vcovCR(type = "CR2"), tests Wald_test(test = "HTZ") and coef_test.
suppressMessages({library(metafor); library(clubSandwich); library(jsonlite)})

args <- commandArgs(trailingOnly = TRUE)
here <- dirname(sub("^--file=", "", grep("^--file=", commandArgs(FALSE), value = TRUE)))
out <- if (length(args)) args[1] else file.path(here, "htz.json.gz")
RNGkind("Mersenne-Twister", "Inversion", "Rejection")
set.seed(20261128)

simulate <- function(m, largest) {
  cluster <- rep(seq_len(m), sample(largest, m, replace = TRUE)); k <- length(cluster)
  vi <- signif(exp(runif(k, log(.01), log(.4))), 5)
  yi <- round(.2 + rnorm(m, 0, .3)[cluster] + rnorm(k, 0, sqrt(vi)), 5)
  data.frame(yi, vi, x = round(rnorm(k), 3), z = round(rnorm(m), 3)[cluster],
             g = rep(c("a", "b", "c"), length.out = m)[cluster], cluster)
}
sets <- list()
for (m in c(9, 12, 20, 40)) for (largest in c(1, 4, 9)) sets[[sprintf("m%d-n%d", m, largest)]] <- simulate(m, largest)

fits <- list()
for (id in names(sets)) for (tau2 in c(0, .05)) {
  d <- sets[[id]]
  r <- rma(yi, vi, mods = ~ x + z + g, data = d, tau2 = tau2)
  V <- vcovCR(r, cluster = d$cluster, type = "CR2")
  one <- coef_test(r, vcov = V, test = "Satterthwaite")
  joint <- lapply(list(all = 2:5, slopes = 2:3, levels = 4:5, mixed = c(2, 4, 5)), function(at) {
    w <- Wald_test(r, constraints = constrain_zero(at), vcov = V, test = "HTZ")
    list(coefs = at - 1, f = w$Fstat, df1 = w$df_num, df2 = w$df_denom, p = w$p_val)
  })
  fits[[length(fits) + 1]] <- list(id = id, tau2 = tau2, coef = as.numeric(r$beta), se = one$SE,
                                   df = if (is.null(one$df_Satt)) one$df else one$df_Satt, joint = joint)
}

versions <- list(R = R.version.string, metafor = as.character(packageVersion("metafor")),
                 clubSandwich = as.character(packageVersion("clubSandwich")))
exact <- function(x) ifelse(is.na(x), NA_character_, sprintf("%.17g", x))
text <- toJSON(rapply(list(versions = versions, data = lapply(names(sets), function(id) c(list(id = id), sets[[id]])),
                           fits = fits), exact, classes = c("numeric", "integer"), how = "replace"),
               auto_unbox = TRUE, na = "null", null = "null")
con <- gzfile(out, "w", compression = 9); writeLines(text, con); close(con)
cat(length(sets), "data sets,", length(fits), "fits\n")
