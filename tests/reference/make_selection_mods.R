# Selection models with moderators of generated data sets, made with metafor; writes selection_mods.json.gz beside itself.
#
#   Rscript tests/reference/make_selection_mods.R [out.json.gz]
#
# Step functions, both directions; numbers have 17 digits. An error of metafor stands in `why`.
suppressMessages({library(metafor); library(jsonlite)})

args <- commandArgs(trailingOnly = TRUE)
here <- dirname(sub("^--file=", "", grep("^--file=", commandArgs(FALSE), value = TRUE)))
out <- if (length(args)) args[1] else file.path(here, "selection_mods.json.gz")
RNGkind("Mersenne-Twister", "Inversion", "Rejection")
set.seed(20261128)

# studies of n people; the mean depends on x1 and x2; results without significance are kept with probability `keep`
simulate <- function(k, tau2, keep) {
  yi <- vi <- x1 <- x2 <- numeric(0)
  while (length(yi) < k) {
    v <- signif(4 / (2 * round(exp(runif(1, log(10), log(200))))), 5)
    a <- round(rnorm(1), 3); b <- rbinom(1, 1, .5)
    y <- round(rnorm(1, .15 + .2 * a + .15 * b, sqrt(tau2 + v)), 5)
    if (pnorm(-y / sqrt(v)) < .025 || runif(1) < keep) {
      yi <- c(yi, y); vi <- c(vi, v); x1 <- c(x1, a); x2 <- c(x2, b)
    }
  }
  list(yi = yi, vi = vi, x1 = x1, x2 = x2)
}
data <- list("k30" = simulate(30, .05, .4), "k50" = simulate(50, .1, .3), "k80" = simulate(80, .03, .25),
             "k40-negative" = local({d <- simulate(40, .05, .4); d$yi <- -d$yi; d}))
formulas <- list("x1" = ~ x1, "x1 + x2" = ~ x1 + x2)
cuts <- list("one" = .025, "two" = c(.025, .5))

rows <- list(); why <- list()
for (id in names(data)) for (f in names(formulas)) for (name in names(cuts)) {
  d <- as.data.frame(data[[id]])
  side <- if (id == "k40-negative") "less" else "greater"
  m <- rma(yi, vi, mods = formulas[[f]], data = d, method = "ML", control = list(threshold = 1e-14, maxiter = 10000))
  s <- tryCatch(suppressWarnings(selmodel(m, type = "stepfun", steps = cuts[[name]], alternative = side,
                  control = list(optimizer = "optim", optmethod = "BFGS", reltol = 1e-14, maxit = 5000))),
                error = function(e) { why[[paste(id, f, name)]] <<- conditionMessage(e); NULL })
  if (is.null(s)) next
  rows[[length(rows) + 1]] <- list(id = id, formula = f, model = name, alternative = side, beta = as.numeric(s$beta),
    se = as.numeric(s$se), tau2 = s$tau2, se_tau2 = s$se.tau2, delta = s$delta, se_delta = s$se.delta,
    loglik = as.numeric(s$fit.stats["ll", "ML"]), lrt = s$LRT, lrt_df = s$LRTdf, lrt_p = s$LRTp,
    qm = s$QM, qm_df = s$QMdf[1], qm_p = s$QMp)
}
versions <- list(R = paste(R.version$major, R.version$minor, sep = "."), metafor = as.character(packageVersion("metafor")))
text <- toJSON(list(versions = versions, data = data, fits = rows, why = why), digits = I(17), auto_unbox = TRUE,
               na = "null", dataframe = "columns")
con <- gzfile(out, "wb"); writeLines(text, con); close(con)
