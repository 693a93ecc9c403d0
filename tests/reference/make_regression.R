# Meta-regressions, subgroups, permutation tests and variance inflation on generated data, made with metafor;
# writes regression_generated.json.gz beside itself.
#
#   Rscript tests/reference/make_regression.R [out.json.gz]
#
# Iterations run to 1e-13 of the data's scale. Numbers are strings of 17 digits. Formulas stand in mtmeta's
# spelling; R's is made from it below. Splines and polynomials are compared by their predictions, because
# two bases of one space have other coefficients.
suppressMessages({library(metafor); library(jsonlite); library(splines)})

args <- commandArgs(trailingOnly = TRUE)
here <- dirname(sub("^--file=", "", grep("^--file=", commandArgs(FALSE), value = TRUE)))
out <- if (length(args)) args[1] else file.path(here, "regression_generated.json.gz")
RNGkind("Mersenne-Twister", "Inversion", "Rejection")
set.seed(20261124)

methods <- c("DL", "HE", "HS", "HSk", "SJ", "ML", "REML", "EB", "PM")
tests <- c("z", "knha", "adhoc")
formulas <- c("x1", "x1 + x2", "g", "g + x1", "g * x1", "0 + g", "C(g, base='c') + x2", "x1 - 1",
              "poly(x1, 2)", "bs(x1, df=4)", "cr(x1, df=3)", "log(pos)", "x1:x2 + x2")
to_r <- function(f) {
  f <- gsub("C(g, base='c')", "relevel(g, ref = 'c')", f, fixed = TRUE)
  f <- gsub("cr(x1, df=3)", "ns(x1, df=3)", f, fixed = TRUE)
  as.formula(paste("~", f))
}

# data: 60 sets -------------------------------------------------------------------------------------------
simulate <- function(k, tau2) {
  d <- data.frame(vi = signif(exp(runif(k, log(.01), log(.5))), 5), x1 = round(rnorm(k, 20, 5), 3),
                  x2 = rep(0:1, length.out = k), pos = signif(exp(rnorm(k, 2, 1)), 5))
  d$g <- factor(rep(c("a", "b", "c"), length.out = k)[sample(k)])
  d$yi <- round(rnorm(k, .02 * d$x1 + .2 * (d$g == "b"), sqrt(d$vi + tau2)), 5)
  d
}
sets <- list()
sizes <- c(12, 15, 20, 30, 60)
for (i in 1:60) {
  k <- sizes[(i - 1) %% 5 + 1]; tau2 <- c(0, .05, .3, 2)[(i - 1) %/% 5 %% 4 + 1]
  sets[[i]] <- list(id = sprintf("set%02d", i), formula = formulas[(i - 1) %% length(formulas) + 1],
                    data = simulate(k, tau2))
}
sets[[58]]$data$vi <- signif(sets[[58]]$data$vi * 10^seq(-2, 2, length.out = nrow(sets[[58]]$data)), 5)
sets[[59]]$data$vi <- rep(.1, nrow(sets[[59]]$data))
sets[[60]]$data$yi <- sets[[60]]$data$yi * 1000; sets[[60]]$data$vi <- sets[[60]]$data$vi * 1e6

# fits ----------------------------------------------------------------------------------------------------
quiet <- function(x) suppressWarnings(suppressMessages(x))
num <- function(x) if (is.null(x) || length(x) == 0) NA else as.numeric(x)
fit_one <- function(d, f, method, test) {
  scale <- median(d$vi)
  for (more in c(1, 10, 100, 1000, 1e4)) {
    control <- list(threshold = 1e-13 * scale * more, tol = 1e-13 * scale, maxiter = 20000,
                    tau2.max = 1e7 * scale)
    r <- tryCatch(quiet(rma(yi, vi, mods = f, data = d, method = method, test = test, control = control)),
                  error = function(e) NULL)
    if (!is.null(r)) return(r)
  }
  NULL
}
newdata <- data.frame(x1 = c(18.5, 24), x2 = c(1, 0), g = factor(c("b", "c"), levels = c("a", "b", "c")),
                      pos = c(3, 12))
why <- list(); fits <- list()
for (s in sets) {
  f <- to_r(s$formula)
  # splines and polynomials evaluate new data with the knots of the old
  X <- model.matrix(f, s$data)
  new <- model.matrix(delete.response(terms(model.frame(f, s$data))),
                      model.frame(terms(model.frame(f, s$data)), newdata, xlev = list(g = levels(s$data$g))))
  for (method in methods) {
    by <- lapply(setNames(tests, tests), function(test) fit_one(s$data, f, method, test))
    z <- by$z
    label <- paste(s$id, method)
    if (any(sapply(by, is.null))) {
      why[[label]] <- "Fisher scoring did not converge"; fits[[length(fits) + 1]] <- list(id = s$id, method = method)
      next
    }
    rows <- new
    if (colnames(X)[1] == "(Intercept)") rows <- new[, -1, drop = FALSE]
    row <- list(id = s$id, method = method, tau2 = num(z$tau2), coef = num(z$beta), r2 = num(z$R2),
                qe = num(z$QE), qe_p = num(z$QEp), i2 = num(z$I2), h2 = num(z$H2),
                loglik = num(z$fit.stats["ll", "ML"]), loglik_reml = num(z$fit.stats["ll", "REML"]))
    # without an intercept in a factor model metafor still has one in the columns' span
    intercept <- colnames(X)[1] == "(Intercept)"
    for (test in tests) {
      r <- by[[test]]
      p <- quiet(predict(r, newmods = rows, intercept = intercept))
      row[[test]] <- list(se = num(r$se), pval = num(r$pval), ci_lb = num(r$ci.lb), qm = num(r$QM),
                          qm_p = num(r$QMp), pred = num(p$pred), pred_se = num(p$se), pred_lb = num(p$ci.lb),
                          pi_lb = num(p$pi.lb))
    }
    if (method %in% c("ML", "REML")) row$stats <- num(z$fit.stats[c("AIC", "BIC", "AICc"), method])
    if (method == "REML") {
      row$qp <- num(quiet(confint(z, control = list(tol = 1e-13 * median(s$data$vi), maxiter = 20000,
                                                    tau2.max = 1e7 * median(s$data$vi))))$random[1, 2:3])
      if (intercept && ncol(X) > 2) row$vif <- num(quiet(vif(z))$vifs)
      if (s$formula %in% c("g + x1", "g * x1")) {
        row$anova_g <- lapply(by[c("z", "knha")], function(r) num(anova(r, btt = 2:3)[c("QM", "QMp")]))
        row$gvif_g <- num(quiet(vif(z, btt = 2:3))$vif[[1]]$vif)
      }
    }
    fits[[length(fits) + 1]] <- row
  }
}

# likelihood-ratio tests ------------------------------------------------------------------------------------
lrt <- list()
for (s in sets[1:8]) {
  full <- fit_one(s$data, ~ g + x1, "ML", "z"); part <- fit_one(s$data, ~ x1, "ML", "z")
  a <- anova(full, part)
  lrt[[length(lrt) + 1]] <- list(id = s$id, statistic = num(a$LRT), pval = num(a$pval))
}

# subgroups: by hand from separate fits, as metafor's site compares independent meta-analyses ----------------
subgroups <- list()
for (s in sets[c(3, 9, 14, 20, 31)]) for (method in c("DL", "REML")) {
  parts <- lapply(split(s$data, s$data$g), function(d) fit_one(d, ~ 1, method, "z"))
  both <- rma(sapply(parts, function(r) r$beta[1]), sei = sapply(parts, function(r) r$se),
              mods = ~ factor(names(parts)), method = "FE")
  common <- lapply(c("z", "knha"), function(test) fit_one(s$data, ~ g, method, test))
  means <- fit_one(s$data, ~ 0 + g, method, "z")
  subgroups[[length(subgroups) + 1]] <- list(
    id = s$id, method = method, est = sapply(parts, function(r) r$beta[1]), se = sapply(parts, function(r) r$se),
    tau2 = sapply(parts, function(r) r$tau2), separate = num(both[c("QM", "QMp")]),
    common_tau2 = num(means$tau2), common_est = num(means$beta), common_se = num(means$se),
    common_z = num(common[[1]][c("QM", "QMp")]), common_knha = num(common[[2]][c("QM", "QMp")]))
}

# permutation tests -----------------------------------------------------------------------------------------
permutations <- list()
small <- function(k, seed) { set.seed(seed); simulate(k, .1) }
for (test in c("z", "knha")) for (k in c(5, 7)) {
  d <- small(k, 100 + k)
  p <- quiet(permutest(rma(yi, vi, data = d, method = "DL", test = test), exact = TRUE, progbar = FALSE))
  permutations[[length(permutations) + 1]] <- list(formula = "1", test = test, yi = d$yi, vi = d$vi, pval = num(p$pval),
                                                   iter = num(p$X.iter))
}
for (test in c("z", "knha")) for (f in c("x1", "x2", "x1 + x2")) {
  d <- small(6, 300)
  r <- rma(yi, vi, mods = to_r(f), data = d, method = "DL", test = test)
  p <- quiet(permutest(r, exact = TRUE, progbar = FALSE))
  permutations[[length(permutations) + 1]] <- list(formula = f, test = test, yi = d$yi, vi = d$vi, x1 = d$x1, x2 = d$x2,
                                                   pval = num(p$pval), qm_p = num(p$QMp), iter = num(p$X.iter))
}

versions <- list(R = R.version.string, metafor = as.character(packageVersion("metafor")),
                 jsonlite = as.character(packageVersion("jsonlite")))
exact <- function(x) ifelse(is.na(x), NA_character_, sprintf("%.17g", x))
data <- lapply(sets, function(s) c(list(id = s$id, formula = s$formula),
                                   lapply(s$data, function(x) if (is.factor(x)) as.character(x) else x)))
text <- toJSON(rapply(list(versions = versions, methods = methods, tests = tests, formulas = formulas,
                           newdata = lapply(newdata, function(x) if (is.factor(x)) as.character(x) else x),
                           data = data, fits = fits, lrt = lrt, subgroups = subgroups,
                           permutations = permutations, why = why),
                      exact, classes = c("numeric", "integer"), how = "replace"),
               auto_unbox = TRUE, na = "null", null = "null")
con <- gzfile(out, "w", compression = 9); writeLines(text, con); close(con)
cat(length(sets), "data sets,", length(fits), "fits,", length(subgroups), "subgroup analyses,",
    length(permutations), "permutation tests,", length(why), "cells without an answer\n")
