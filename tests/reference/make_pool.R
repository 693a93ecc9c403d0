# Pooled estimates of generated data sets, made with metafor; writes pool_generated.json.gz beside itself.
#
#   Rscript tests/reference/make_pool.R [out.json.gz]
#
# Iterations run to 1e-13 of the data's scale, far below metafor's defaults (1e-5, and 1.2e-4 for roots).
# Numbers are strings of 17 digits, so that none is lost. A null is a cell for which metafor has no answer (Fisher scoring did not converge, a root outside its
# search range); its reason stands in `why`.
suppressMessages({library(metafor); library(jsonlite)})

args <- commandArgs(trailingOnly = TRUE)
here <- dirname(sub("^--file=", "", grep("^--file=", commandArgs(FALSE), value = TRUE)))
out <- if (length(args)) args[1] else file.path(here, "pool_generated.json.gz")
RNGkind("Mersenne-Twister", "Inversion", "Rejection")
set.seed(20261123)

# data ---------------------------------------------------------------------------------------------------
simulate <- function(k, tau2, low = .01, high = .5, mean = .3, digits = 5) {
  vi <- signif(exp(runif(k, log(low), log(high))), digits)
  list(yi = round(rnorm(k, mean, sqrt(vi + tau2)), digits), vi = vi)
}
data <- list()
for (k in c(2, 3, 4, 5, 7, 10, 15, 20, 40, 80)) for (tau2 in c(0, .02, .2, 2))
  data[[sprintf("k%d-tau2=%g", k, tau2)]] <- simulate(k, tau2)
data[["equal-variances"]] <- within(simulate(8, .1), vi <- rep(.05, 8))
data[["equal-variances-homogeneous"]] <- list(yi = c(.1, .2, .15, .12, .18, .14), vi = rep(.3, 6))
data[["identical-effects"]] <- list(yi = rep(.4, 5), vi = c(.01, .02, .04, .08, .16))
data[["identical-all"]] <- list(yi = rep(-1.5, 4), vi = rep(.2, 4))
data[["ties"]] <- list(yi = c(0, 0, 0, 1, 1, 1, .5, .5), vi = c(.1, .1, .1, .1, .2, .2, .2, .2))
data[["two-equal"]] <- list(yi = c(.3, .3), vi = c(.1, .2))
data[["two-far"]] <- list(yi = c(-4, 4), vi = c(.05, .3))
data[["two-same-variance"]] <- list(yi = c(0, 1), vi = c(.1, .1))
data[["three-one-off"]] <- list(yi = c(0, .1, 3), vi = c(.02, .03, .02))
data[["huge-tau2"]] <- simulate(10, 400)
data[["tiny-tau2"]] <- simulate(30, 1e-4)
data[["dominating-1e4"]] <- list(yi = c(.2, 1.1, -.6, .8, .1), vi = c(1e-5, .3, .2, .4, .1))
data[["dominating-near"]] <- list(yi = c(.2, .25, .15, .31, .05), vi = c(1e-4, .3, .2, .4, .1))
data[["two-dominating"]] <- list(yi = c(0, .05, 1, -1, .6, .4), vi = c(1e-4, 1e-4, .3, .2, .4, .1))
data[["imprecise-outlier"]] <- list(yi = c(.1, .2, .3, .2, 9), vi = c(.02, .03, .02, .05, 20))
data[["wide-variances"]] <- simulate(12, .1, 1e-4, 100)
data[["wide-variances-homogeneous"]] <- simulate(12, 0, 1e-4, 100)
data[["offset-100"]] <- local({d <- simulate(9, .1); d$yi <- d$yi + 100; d})
data[["scale-1e-3"]] <- local({d <- simulate(9, .2); d$yi <- d$yi / 1000; d$vi <- d$vi / 1e6; d})
data[["scale-1e3"]] <- local({d <- simulate(9, .2); d$yi <- d$yi * 1000; d$vi <- d$vi * 1e6; d})
data[["negative-dl"]] <- list(yi = c(.10, .11, .09, .10, .12, .10), vi = c(.04, .05, .06, .05, .04, .07))
data[["bimodal-likelihood"]] <- list(yi = c(.1, .9, 1.2, -.4, .5), vi = c(1e-6, .3, .4, .2, .5))
data[["clusters"]] <- list(yi = c(rep(-1, 6), rep(1, 6)) + (1:12) / 50, vi = rep(c(.02, .04, .06), 4))
data[["large-k"]] <- simulate(150, .05)
data[["large-k-homogeneous"]] <- simulate(150, 0)

# fits ---------------------------------------------------------------------------------------------------
tight <- function(scale) list(threshold = 1e-13 * scale, tol = 1e-13 * scale, maxiter = 20000,
                              tau2.max = 1e7 * scale)
quiet <- function(x) suppressWarnings(x)
why <- character(0)
attempt <- function(expr, label) tryCatch(quiet(expr), error = function(e) {
  why[[label]] <<- gsub("\\s+", " ", conditionMessage(e)); NULL})
num <- function(x) if (is.null(x) || length(x) == 0 || is.na(x[1])) NA else as.numeric(x)[1]

methods <- c("FE", "DL", "DL2", "HE", "HS", "HSk", "SJ", "ML", "REML", "EB", "PM", "PMM")
intervals <- c("z", "knha", "adhoc")

fit_one <- function(d, method, test, scale) {
  control <- tight(scale)
  if (method == "DL2") {
    first <- rma(yi, vi, data = d, method = "DL")$tau2
    d$wi <- 1 / (d$vi + first)
    t2 <- rma(yi, vi, data = d, method = "GENQ", weights = wi)$tau2
    return(rma(yi, vi, data = d, method = "REML", tau2 = t2, test = test))
  }
  tries <- c(1, 10, 100, 1000)
  if (!method %in% c("ML", "REML", "EB")) tries <- 1
  for (more in tries) {       # rounding may keep Fisher scoring above the first threshold
    control$threshold <- 1e-13 * scale * more
    f <- tryCatch(rma(yi, vi, data = d, method = method, test = test, control = control), error = identity)
    if (!inherits(f, "error")) return(f)
  }
  stop(f)
}

prediction <- function(z, h) {
  if (is.null(z) || z$method == "FE") return(NULL)
  limits <- function(f, ...) with(predict(f, ...), c(pi.lb, pi.ub))
  # with a given tau2 metafor counts a parameter less and gives riley k - 1 degrees of freedom
  estimated <- !z$tau2.fix
  list(normal = limits(z), HTS = if (estimated) limits(z, pi.type = "riley"),
       V = with(predict(z), pred + c(-1, 1) * qt(.975, z$k - 1) * sqrt(se^2 + z$tau2)),
       HK = if (!is.null(h)) limits(h),
       `HK-PR` = if (!is.null(h) && h$k > 2 && estimated) limits(h, pi.type = "riley"))
}

fits <- list(); tau2_ci <- list(); means <- list()
for (id in names(data)) {
  d <- as.data.frame(data[[id]])
  scale <- median(d$vi)
  for (method in methods) {
    label <- paste(id, method)
    by <- lapply(setNames(intervals, intervals), function(test)
      if (method == "FE" && test != "z") NULL else attempt(fit_one(d, method, test, scale), label))
    z <- by$z
    if (is.null(z)) { fits[[length(fits) + 1]] <- list(id = id, method = method, tau2 = NA); next }
    row <- list(id = id, method = method, tau2 = num(z$tau2), est = num(z$beta),
                se_tau2 = if (method %in% c("FE", "DL2")) NA else num(z$se.tau2),
                q = num(z$QE), q_p = num(z$QEp), i2 = num(z$I2), h2 = num(z$H2),
                loglik = num(z$fit.stats["ll", "ML"]), loglik_reml = num(z$fit.stats["ll", "REML"]))
    for (test in intervals) if (!is.null(by[[test]])) {
      f <- by[[test]]
      row[[test]] <- c(num(f$se), num(f$zval), num(f$pval), num(f$ci.lb), num(f$ci.ub))
    }
    p <- attempt(prediction(z, by$knha), paste(label, "prediction"))
    if (!is.null(p)) row$pi <- lapply(p[!sapply(p, is.null)], as.numeric)
    fits[[length(fits) + 1]] <- row
    if (method %in% c("DL", "ML", "REML")) {
      types <- if (method == "DL") "QP" else c("PL", "Wald")
      for (type in types) {
        # far beyond any root, so that metafor's own bound of 100 does not cut it
        ci <- attempt(confint(z, type = type, control = list(tol = 1e-14 * scale, maxiter = 10000, tau2.min = 0,
                      tau2.max = max(1e4 * scale, 1e4 * var(d$yi), 1e3 * z$tau2)))$random["tau^2", ],
                      paste(label, type))
        if (!is.null(ci)) tau2_ci[[length(tau2_ci) + 1]] <-
          list(id = id, method = method, type = type, low = num(ci["ci.lb"]), high = num(ci["ci.ub"]))
      }
    }
  }
  # Henmi and Copas, with metafor's own function but a sharper integral; IVhet as fixed weights
  dl <- rma(yi, vi, data = d, method = "DL")
  sharp <- metafor:::hc.rma.uni
  environment(sharp) <- list2env(list(integrate = function(...)
    stats::integrate(..., rel.tol = 1e-11, abs.tol = 1e-14, subdivisions = 5000L)),
    parent = asNamespace("metafor"))
  hc <- attempt(sharp(dl, control = list(tol = 1e-13)), paste(id, "HC"))
  if (!is.null(hc)) means[[length(means) + 1]] <- list(id = id, method = "HC", est = num(hc$beta),
    se = num(hc$se), low = num(hc$ci.lb), high = num(hc$ci.ub))
  iv <- attempt(rma(yi, vi, data = d, method = "DL", weights = 1 / vi), paste(id, "IVhet"))
  if (!is.null(iv)) means[[length(means) + 1]] <- list(id = id, method = "IVhet", est = num(iv$beta),
    se = num(iv$se), low = num(iv$ci.lb), high = num(iv$ci.ub))
  # profile likelihood of the mean by base R alone: dnorm, a grid with optimize, uniroot
  m <- attempt(local({
    unit <- var(d$yi) + scale
    loglik <- function(mu, t) sum(dnorm(d$yi, mu, sqrt(d$vi + t), log = TRUE))
    best <- function(mu) {
      grid <- c(0, exp(seq(log(1e-6 * unit), log(1e3 * (unit + (mu - mean(d$yi))^2)), length.out = 60)))
      v <- sapply(grid, function(t) loglik(mu, t))
      j <- which.max(v)
      o <- optimize(function(t) loglik(mu, t), c(grid[max(1, j - 1)], grid[min(length(grid), j + 1)]),
                    maximum = TRUE, tol = 1e-13)
      max(v, o$objective)
    }
    w <- function(t) 1 / (d$vi + t)
    top <- optimize(function(mu) best(mu), range(d$yi) + c(-1e-9, 1e-9), maximum = TRUE, tol = 1e-13)
    cut <- top$objective - qchisq(.95, 1) / 2
    f <- function(mu) best(mu) - cut
    reach <- 20 * sqrt(unit)
    c(uniroot(f, c(top$maximum - reach, top$maximum), tol = 1e-13)$root,
      uniroot(f, c(top$maximum, top$maximum + reach), tol = 1e-13)$root)
  }), paste(id, "PL mean"))
  if (!is.null(m)) means[[length(means) + 1]] <- list(id = id, method = "PL", low = m[1], high = m[2])
}

# with moderators: every estimator's general formula; models without an intercept are left out, because
# metafor 3.8-1 centres the effects there too and so changes the residuals ---------------------------------
designs <- list(); regressions <- list()
for (id in c("k5-tau2=0.2", "k7-tau2=0.02", "k10-tau2=0", "k10-tau2=0.2", "k15-tau2=2", "k20-tau2=0.02",
             "k40-tau2=0.2", "k80-tau2=0.02", "ties", "dominating-near", "two-dominating", "wide-variances",
             "imprecise-outlier", "scale-1e3", "offset-100", "equal-variances")) {
  d <- as.data.frame(data[[id]]); k <- nrow(d); scale <- median(d$vi)
  d$x1 <- round(rnorm(k, 20, 5), 3); d$x2 <- rep(0:1, length.out = k)
  designs[[length(designs) + 1]] <- list(id = id, x1 = d$x1, x2 = d$x2)
  for (method in setdiff(methods, c("FE", "DL2"))) for (mods in c("~ x1", "~ x1 + x2")) {
    if (k < 7 && mods == "~ x1 + x2") next
    control <- tight(scale)
    f <- NULL
    for (more in c(1, 10, 100, 1000)) if (is.null(f)) {
      control$threshold <- 1e-13 * scale * more
      f <- tryCatch(quiet(rma(yi, vi, mods = as.formula(mods), data = d, method = method, control = control)),
                    error = function(e) NULL)
    }
    if (is.null(f)) { why[[paste(id, method, mods)]] <- "no convergence"; next }
    regressions[[length(regressions) + 1]] <- list(id = id, method = method, mods = mods, tau2 = num(f$tau2),
      coef = as.numeric(f$beta), se = as.numeric(f$se), qe = num(f$QE), i2 = num(f$I2),
      loglik = num(f$fit.stats["ll", "ML"]), loglik_reml = num(f$fit.stats["ll", "REML"]))
  }
}

versions <- list(R = R.version.string, metafor = as.character(packageVersion("metafor")),
                 jsonlite = as.character(packageVersion("jsonlite")))
exact <- function(x) ifelse(is.na(x), NA_character_, sprintf("%.17g", x))
text <- toJSON(rapply(list(versions = versions, methods = methods, intervals = intervals,
                    data = lapply(names(data), function(id) c(list(id = id), data[[id]])),
                    fits = fits, tau2_ci = tau2_ci, means = means, designs = designs,
                    regressions = regressions, why = as.list(why)),
                      exact, classes = "numeric", how = "replace"),
               auto_unbox = TRUE, na = "null", null = "null")
con <- gzfile(out, "w", compression = 9); writeLines(text, con); close(con)
cat(length(data), "data sets,", length(fits), "fits,", length(tau2_ci), "intervals of tau2,", length(means),
    "means,", length(regressions), "regressions,",
    length(why), "cells without an answer\n")
