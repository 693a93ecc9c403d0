# Selection models with smooth weight functions, with moderators and without, of the generated data sets of
# selection_mods.json.gz, made with metafor; writes selection_smooth.json.gz beside itself.
#
#   Rscript tests/reference/make_selection_smooth.R [out.json.gz]
#
# Numbers have 17 digits. An error of metafor stands in `why`.
suppressMessages({library(metafor); library(jsonlite)})

args <- commandArgs(trailingOnly = TRUE)
here <- dirname(sub("^--file=", "", grep("^--file=", commandArgs(FALSE), value = TRUE)))
out <- if (length(args)) args[1] else file.path(here, "selection_smooth.json.gz")
data <- fromJSON(gzfile(file.path(here, "selection_mods.json.gz")))$data
data <- lapply(data, function(d) lapply(d, as.numeric))
jobs <- list(c("k30", "x1 + x2"), c("k30", "1"), c("k40-negative", "x1"))
types <- c("beta", "halfnorm", "negexp", "logistic", "power")

rows <- list(); why <- list()
for (job in jobs) for (type in types) {
  d <- as.data.frame(data[[job[1]]])
  side <- if (job[1] == "k40-negative") "less" else "greater"
  m <- rma(yi, vi, mods = as.formula(paste("~", job[2])), data = d, method = "ML",
           control = list(threshold = 1e-14, maxiter = 10000))
  s <- NULL
  for (tol in c(1e-9, 1e-8)) if (is.null(s)) {   # nlminb refuses what rounding does not allow
    label <- paste(job[1], job[2], type)
    s <- tryCatch(suppressWarnings(selmodel(m, type = type, alternative = side,
                    control = list(optimizer = "nlminb", rel.tol = tol, x.tol = 1e-9, iter.max = 2000, eval.max = 4000,
                                   intCtrl = list(rel.tol = 1e-8, subdivisions = 1000L)))),
                  error = function(e) { why[[label]] <<- conditionMessage(e); NULL })
    if (!is.null(s)) why[[label]] <- NULL
  }
  if (is.null(s)) next
  rows[[length(rows) + 1]] <- list(id = job[1], formula = job[2], model = type, alternative = side,
    beta = as.numeric(s$beta), se = as.numeric(s$se), tau2 = s$tau2, se_tau2 = s$se.tau2, delta = s$delta,
    se_delta = s$se.delta, loglik = as.numeric(s$fit.stats["ll", "ML"]), lrt = s$LRT, lrt_df = s$LRTdf, lrt_p = s$LRTp)
}
versions <- list(R = paste(R.version$major, R.version$minor, sep = "."), metafor = as.character(packageVersion("metafor")))
text <- toJSON(list(versions = versions, fits = rows, why = why), digits = I(17), auto_unbox = TRUE, na = "null",
               dataframe = "columns")
con <- gzfile(out, "wb"); writeLines(text, con); close(con)
