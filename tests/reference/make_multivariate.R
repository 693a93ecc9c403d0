# Multivariate and location-scale models with metafor; writes multivariate.json.gz beside itself.
#
#   Rscript tests/reference/make_multivariate.R [out.json.gz]
#
# Debian: r-cran-metafor, r-cran-clubsandwich, r-cran-jsonlite. The best of several optimisers and starts is kept; each
# alone stops early.
suppressMessages({library(metafor); library(clubSandwich); library(jsonlite)})

args <- commandArgs(trailingOnly = TRUE)
here <- dirname(sub("^--file=", "", grep("^--file=", commandArgs(FALSE), value = TRUE)))
out <- if (length(args)) args[1] else file.path(here, "multivariate.json.gz")
RNGkind("Mersenne-Twister", "Inversion", "Rejection")
set.seed(20261128)
quiet <- function(x) suppressWarnings(suppressMessages(x))
num <- function(x) as.numeric(x)

# several outcomes, not all in every study; known correlation of the sampling errors rho
simulate <- function(m, q, G, rho, keep) {
  d <- do.call(rbind, lapply(seq_len(m), function(i) {
    have <- which(runif(q) < keep); if (!length(have)) have <- 1
    v <- signif(exp(runif(length(have), log(.01), log(.1))), 4)
    V <- rho * outer(sqrt(v), sqrt(v)); diag(V) <- v
    u <- (t(chol(G)) %*% rnorm(q))[have]
    e <- t(chol(V)) %*% rnorm(length(have))
    data.frame(study = i, outcome = c("a", "b", "c", "d")[have], x = round(rnorm(1), 3), yi = round(c(.2, .4, .1, .3)[have] + u + e, 5), vi = v)
  }))
  d$x <- ave(d$x, d$study); d
}
G2 <- matrix(c(.05, .03, .03, .08), 2); G3 <- .06 * (.5 + .5 * diag(3)); G4 <- .08 * .6^abs(outer(1:4, 1:4, "-"))
sets <- list(two = list(d = simulate(12, 2, G2, .6, 1), rho = .6), twogaps = list(d = simulate(25, 2, G2, .3, .8), rho = .3),
             three = list(d = simulate(20, 3, G3, .5, .85), rho = .5), four = list(d = simulate(30, 4, G4, .4, .9), rho = .4),
             weak = list(d = simulate(15, 2, G2 / 50, .5, .9), rho = .5))
V_of <- function(d, rho) { V <- outer(d$study, d$study, "==") * rho * outer(sqrt(d$vi), sqrt(d$vi)); diag(V) <- d$vi; V }
best_of <- function(call) {
  best <- NULL
  for (control in list(list(optimizer = "nlminb", rel.tol = 1e-14, iter.max = 2000, eval.max = 4000),
                       list(optimizer = "BFGS", reltol = 1e-16, maxit = 3000),
                       list(optimizer = "Nelder-Mead", reltol = 1e-16, maxit = 9000)))
    for (cholesky in c(FALSE, TRUE)) {
      r <- tryCatch(quiet(call(c(control, list(cholesky = cholesky)))), error = function(e) NULL)
      if (!is.null(r) && (is.null(best) || logLik(r) > logLik(best))) best <- r
    }
  best
}
fits <- list()
for (id in names(sets)) for (struct in c("UN", "CS", "AR", "DIAG", "ID")) for (method in c("REML", "ML")) {
  d <- sets[[id]]$d; V <- V_of(d, sets[[id]]$rho); q <- length(unique(d$outcome))
  if (struct == "AR" && q == 2) next
  if (struct == "UN" && q == 4) next  # ten parameters: metafor's optimisers end in different places
  for (formula in c("~ 0 + outcome", "~ 0 + outcome + x")) {
    r <- best_of(function(control) {
      if (!struct %in% c("UN")) control$cholesky <- NULL
      rma.mv(yi, V, mods = as.formula(formula), random = ~ outcome | study, struct = struct, data = d, method = method, control = control)
    })
    G <- r$G; row <- list(id = id, struct = struct, method = method, formula = formula, G = as.list(as.data.frame(unname(G))), coef = num(r$beta),
      se = num(r$se), loglik = num(logLik(r)), qe = num(r$QE))
    if (method == "REML") {
      cr2 <- quiet(coef_test(r, vcov = vcovCR(r, cluster = d$study, type = "CR2"), test = "Satterthwaite"))
      row$cr2 <- list(se = cr2$SE, df = if (is.null(cr2$df_Satt)) cr2$df else cr2$df_Satt)
    }
    fits[[length(fits) + 1]] <- row; cat(id, struct, method, formula, "\n")
  }
}

# location-scale models ----------------------------------------------------------------------------------------
scales <- list()
for (k in c(30, 60, 120)) { x <- round(rnorm(k), 3); g <- rep(c("p", "q"), length.out = k)
  vi <- signif(exp(runif(k, log(.01), log(.2))), 4)
  yi <- round(.3 + .2 * x + rnorm(k, 0, sqrt(exp(-2.5 + .8 * x + .5 * (g == "q")) + vi)), 5)
  scales[[paste0("k", k)]] <- data.frame(yi, vi, x, g) }
located <- list(); why <- list()
for (id in names(scales)) for (method in c("REML", "ML")) for (mods in c("~ 1", "~ x")) for (scale in c("~ 1", "~ x", "~ x + g")) {
  d <- scales[[id]]; best <- NULL
  for (control in list(list(optimizer = "nlminb"), list(optimizer = "nlminb", rel.tol = 1e-12, iter.max = 2000, eval.max = 4000),
                       list(optimizer = "BFGS", reltol = 1e-16, maxit = 3000), list(optimizer = "Nelder-Mead", maxit = 9000))) {
    r <- tryCatch(quiet(rma(yi, vi, mods = as.formula(mods), scale = as.formula(scale), data = d, method = method, control = control)),
                  error = function(e) NULL)
    if (!is.null(r) && (is.null(best) || logLik(r) > logLik(best))) best <- r
  }
  if (is.null(best)) { why[[length(why) + 1]] <- list(id = id, method = method, mods = mods, scale = scale); next }
  located[[length(located) + 1]] <- list(id = id, method = method, mods = mods, scale = scale, coef = num(best$beta), se = num(best$se),
    alpha = num(best$alpha), se_alpha = num(best$se.alpha), tau2 = num(best$tau2), loglik = num(logLik(best)))
  cat(id, method, mods, scale, "\n")
}

versions <- list(R = R.version.string, metafor = as.character(packageVersion("metafor")),
                 clubSandwich = as.character(packageVersion("clubSandwich")))
exact <- function(x) ifelse(is.na(x), NA_character_, sprintf("%.17g", x))
data <- lapply(names(sets), function(id) c(list(id = id, known = sets[[id]]$rho), sets[[id]]$d))
text <- toJSON(rapply(list(versions = versions, data = data, fits = fits,
                           scales = lapply(names(scales), function(id) c(list(id = id), scales[[id]])), located = located, why = why),
                      exact, classes = c("numeric", "integer"), how = "replace"), auto_unbox = TRUE, na = "null", null = "null")
con <- gzfile(out, "w", compression = 9); writeLines(text, con); close(con)
cat(length(fits), "multivariate fits,", length(located), "location-scale fits\n")
