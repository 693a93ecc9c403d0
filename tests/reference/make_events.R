# Pooled counts of generated tables, made with metafor; writes events_generated.json.gz beside itself.
#
#   Rscript tests/reference/make_events.R [out.json.gz]
#
# Numbers are strings of 17 digits. The variance of Greenland and Robins for the risk difference is metafor's
# for fixed weights n1 n2 / N and nothing added to zero cells.
suppressMessages({library(metafor); library(jsonlite)})

args <- commandArgs(trailingOnly = TRUE)
here <- dirname(sub("^--file=", "", grep("^--file=", commandArgs(FALSE), value = TRUE)))
out <- if (length(args)) args[1] else file.path(here, "events_generated.json.gz")
RNGkind("Mersenne-Twister", "Inversion", "Rejection")
set.seed(20261124)

simulate <- function(k, p, ratio, low = 10, high = 200) {
  n1 <- round(exp(runif(k, log(low), log(high)))); n2 <- round(n1 * exp(runif(k, -.5, .5)))
  list(a = rbinom(k, n1, pmin(.95, p * ratio)), n1 = n1, c = rbinom(k, n2, p), n2 = n2)
}
data <- list()
for (k in c(2, 5, 12, 30)) for (p in c(.03, .3)) for (ratio in c(.6, 1.4))
  data[[sprintf("k%d-p%g-ratio%g", k, p, ratio)]] <- simulate(k, p, ratio)
data[["one-study"]] <- list(a = 7, n1 = 40, c = 12, n2 = 44)
data[["double-zero"]] <- list(a = c(0, 5, 10, 0), n1 = c(20, 20, 30, 15), c = c(0, 8, 12, 3), n2 = c(22, 20, 33, 15))
data[["double-full"]] <- list(a = c(20, 5, 10), n1 = c(20, 20, 30), c = c(25, 8, 12), n2 = c(25, 20, 33))
data[["zero-cells"]] <- list(a = c(0, 3, 9, 0), n1 = c(20, 40, 30, 15), c = c(4, 0, 12, 3), n2 = c(22, 40, 33, 15))
data[["very-unequal"]] <- list(a = c(3, 8, 1), n1 = c(400, 15, 30), c = c(6, 90, 40), n2 = c(20, 900, 3000))
data[["equal-ratios"]] <- list(a = c(10, 20, 30), n1 = c(50, 100, 150), c = c(5, 10, 15), n2 = c(50, 100, 150))

num <- function(x) if (is.null(x) || length(x) == 0 || is.na(x[1])) NA else as.numeric(x)[1]
quiet <- function(x) suppressWarnings(x)
rows <- list()
for (id in names(data)) {
  d <- as.data.frame(data[[id]])
  for (measure in c("OR", "RR", "RD")) {
    f <- quiet(rma.mh(ai = a, n1i = n1, ci = c, n2i = n2, data = d, measure = measure))
    row <- list(id = id, method = "MH", measure = measure, est = num(f$beta), se = num(f$se), p = num(f$pval),
                low = num(f$ci.lb), high = num(f$ci.ub), q = num(f$QE), q_p = num(f$QEp), i2 = num(f$I2),
                h2 = num(f$H2), shown = f$k.yi)
    if (measure == "OR") { row$tarone <- num(f$TA); row$tarone_p <- num(f$TAp) }
    if (measure == "RD") {
      e <- quiet(escalc(measure = "RD", ai = a, n1i = n1, ci = c, n2i = n2, data = d, add = 0, to = "none"))
      w <- d$n1 * d$n2 / (d$n1 + d$n2)
      g <- quiet(rma(e$yi, e$vi, weights = w, method = "FE"))
      if (g$k == nrow(d)) row$se_gr <- num(g$se)
    }
    rows[[length(rows) + 1]] <- row
  }
  f <- quiet(rma.peto(ai = a, n1i = n1, ci = c, n2i = n2, data = d))
  rows[[length(rows) + 1]] <- list(id = id, method = "Peto", measure = "PETO", est = num(f$beta), se = num(f$se),
    p = num(f$pval), low = num(f$ci.lb), high = num(f$ci.ub), q = num(f$QE), q_p = num(f$QEp), i2 = num(f$I2),
    h2 = num(f$H2), shown = f$k.yi)
}
versions <- list(R = R.version.string, metafor = as.character(packageVersion("metafor")),
                 jsonlite = as.character(packageVersion("jsonlite")))
exact <- function(x) ifelse(is.na(x), NA_character_, sprintf("%.17g", x))
text <- toJSON(rapply(list(versions = versions, data = lapply(names(data), function(id) c(list(id = id), data[[id]])),
                           fits = rows), exact, classes = c("numeric", "integer"), how = "replace"),
               auto_unbox = TRUE, na = "null", null = "null")
con <- gzfile(out, "w", compression = 9); writeLines(text, con); close(con)
cat(length(data), "tables,", length(rows), "fits\n")
