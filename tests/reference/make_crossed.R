# Crossed random effects with metafor's rma.mv; writes crossed.json.gz beside itself.
#
#   Rscript tests/reference/make_crossed.R [out.json.gz]
#
# Debian: r-cran-metafor, r-cran-jsonlite. The best of several optimisers is kept; each alone stops early.
suppressMessages({library(metafor); library(jsonlite)})

args <- commandArgs(trailingOnly = TRUE)
here <- dirname(sub("^--file=", "", grep("^--file=", commandArgs(FALSE), value = TRUE)))
out <- if (length(args)) args[1] else file.path(here, "crossed.json.gz")
RNGkind("Mersenne-Twister", "Inversion", "Rejection")
set.seed(20261128)
quiet <- function(x) suppressWarnings(suppressMessages(x))
num <- function(x) as.numeric(x)

simulate <- function(a, b, keep, s) {
  d <- expand.grid(a = seq_len(a), b = seq_len(b)); d <- d[runif(nrow(d)) < keep, ]; k <- nrow(d)
  d$vi <- signif(exp(runif(k, log(.01), log(.2))), 5); d$x <- round(rnorm(k), 3)
  d$yi <- round(.3 + .1 * d$x + rnorm(a, 0, s[1])[d$a] + rnorm(b, 0, s[2])[d$b] + rnorm(k, 0, sqrt(s[3]^2 + d$vi)), 5)
  d$row <- seq_len(k); d
}
sets <- list(small = simulate(6, 5, .8, c(.3, .2, .1)), wide = simulate(20, 4, .6, c(.3, .3, .2)),
             nob = simulate(12, 6, .5, c(.3, 0, .2)), norow = simulate(10, 8, .5, c(.2, .3, 0)))
fits <- list()
for (id in names(sets)) for (method in c("REML", "ML")) for (formula in c("1", "x")) for (rows in c(TRUE, FALSE)) {
  d <- sets[[id]]; best <- NULL
  for (control in list(list(optimizer = "nlminb", rel.tol = 1e-14, iter.max = 3000, eval.max = 5000),
                       list(optimizer = "BFGS", reltol = 1e-16, maxit = 3000),
                       list(optimizer = "Nelder-Mead", reltol = 1e-16, maxit = 9000))) {
    random <- if (rows) list(~ 1 | a, ~ 1 | b, ~ 1 | row) else list(~ 1 | a, ~ 1 | b)
    r <- tryCatch(quiet(rma.mv(yi, vi, mods = as.formula(paste("~", formula)), random = random, data = d, method = method, control = control)),
                  error = function(e) NULL)
    if (!is.null(r) && (is.null(best) || logLik(r) > logLik(best))) best <- r
  }
  fits[[length(fits) + 1]] <- list(id = id, method = method, formula = formula, rows = as.numeric(rows), sigma2 = num(best$sigma2),
    coef = num(best$beta), se = num(best$se), loglik = num(logLik(best)), qe = num(best$QE))
}
versions <- list(R = R.version.string, metafor = as.character(packageVersion("metafor")))
exact <- function(x) ifelse(is.na(x), NA_character_, sprintf("%.17g", x))
text <- toJSON(rapply(list(versions = versions, data = lapply(names(sets), function(id) c(list(id = id), sets[[id]])), fits = fits),
                      exact, classes = c("numeric", "integer"), how = "replace"), auto_unbox = TRUE, na = "null", null = "null")
con <- gzfile(out, "w", compression = 9); writeLines(text, con); close(con)
cat(length(fits), "fits\n")
