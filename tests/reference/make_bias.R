# Diagnostics of generated data sets, made with metafor and base R; writes bias_generated.json.gz beside itself.
#
#   Rscript tests/reference/make_bias.R [out.json.gz]
#
# Influence by interval method, regression tests by model and predictor, rank tests, trim and fill, selection
# models, p-uniform*. Numbers are strings of 17 digits. A null is a cell for which metafor has no answer; its reason
# stands in `why`.
suppressMessages({library(metafor); library(jsonlite)})

args <- commandArgs(trailingOnly = TRUE)
here <- dirname(sub("^--file=", "", grep("^--file=", commandArgs(FALSE), value = TRUE)))
out <- if (length(args)) args[1] else file.path(here, "bias_generated.json.gz")
RNGkind("Mersenne-Twister", "Inversion", "Rejection")
set.seed(20261124)

# data: studies of n people, of which those without a significant result are kept with probability `keep` -------
simulate <- function(k, mean, tau2, keep = 1, low = 10, high = 200) {
  yi <- ni <- vi <- numeric(0)
  while (length(yi) < k) {
    n <- 2 * round(exp(runif(1, log(low), log(high))))
    v <- signif(4 / n, 5)
    y <- round(rnorm(1, mean, sqrt(tau2 + v)), 5)
    if (pnorm(-y / sqrt(v)) < .025 || runif(1) < keep) { yi <- c(yi, y); ni <- c(ni, n); vi <- c(vi, v) }
  }
  list(yi = yi, vi = vi, ni = ni)
}
data <- list(
  "k6" = simulate(6, .3, .05), "k10" = simulate(10, .3, .05), "k10-biased" = simulate(10, .2, .05, .3),
  "k15-homogeneous" = simulate(15, .4, 0), "k20-biased" = simulate(20, .2, .1, .2),
  "k30-null" = simulate(30, 0, .1), "k40-biased" = simulate(40, .2, .05, .2), "k60" = simulate(60, .3, .1, .5),
  "k25-negative" = local({d <- simulate(25, .3, .1, .3); d$yi <- -d$yi; d}),
  "ties" = list(yi = c(.1, .1, .4, .4, .7, .2, .9, .3, .5, 1.1, .8), vi = c(1, 1, 2, 4, 4, 2, 8, 5, 5, 9, 8) / 100,
                ni = c(400, 400, 200, 100, 100, 200, 50, 80, 80, 44, 50)))

scale_of <- function(d) median(d$vi)
why <- list()
attempt <- function(expr, label) tryCatch(suppressWarnings(suppressMessages(expr)), error = function(e) {
  why[[label]] <<- gsub("\\s+", " ", conditionMessage(e)); NULL})
num <- function(x) if (is.null(x) || length(x) == 0 || is.na(x[1])) NA else as.numeric(x)[1]
fit <- function(d, method, test = "z", ...) {
  for (more in c(1, 10, 100, 1000)) {
    f <- tryCatch(rma(yi, vi, ni = ni, data = d, method = method, test = test, ...,
                      control = list(threshold = 1e-13 * scale_of(d) * more, maxiter = 20000)), error = identity)
    if (!inherits(f, "error")) return(f)
  }
  stop(f)
}

influence_rows <- list(); tests <- list(); ranks <- list(); fills <- list(); selections <- list(); stars <- list()
for (id in names(data)) {
  d <- as.data.frame(data[[id]])

  for (method in c("EE", "DL", "REML")) for (test in c("z", "knha", "adhoc")) {
    if (method == "EE" && test != "z") next
    f <- fit(d, method, test)
    i <- attempt(influence(f), paste(id, method, test))
    l <- attempt(leave1out(f), paste(id, method, test, "leave1out"))
    c <- attempt(cumul(f, order = seq_len(nrow(d))), paste(id, method, test, "cumul"))
    pdf(NULL); b <- attempt(baujat(f), paste(id, method, test, "baujat")); dev.off()
    influence_rows[[length(influence_rows) + 1]] <- c(list(id = id, method = method, test = test),
      if (!is.null(i)) list(rstudent = i$inf$rstudent, dffits = i$inf$dffits, cook = i$inf$cook.d,
        cov_ratio = i$inf$cov.r, tau2_deleted = i$inf$tau2.del, q_deleted = i$inf$QE.del, hat = i$inf$hat,
        weight = i$inf$weight, dfbetas = i$dfbs$intrcpt, influential = as.numeric(i$is.infl)),
      if (!is.null(l)) list(loo = l$estimate, loo_se = l$se, loo_low = l$ci.lb, loo_high = l$ci.ub, loo_q = l$Q,
        loo_i2 = l$I2, loo_h2 = l$H2),
      if (!is.null(c)) list(cum = c$estimate, cum_se = c$se, cum_low = c$ci.lb, cum_high = c$ci.ub),
      if (!is.null(b)) list(contribution = b$x, influence = b$y))
  }

  f <- fit(d, "REML")
  for (model in c("lm", "rma")) for (predictor in c("sei", "vi", "ni", "ninv", "sqrtni", "sqrtninv"))
    for (test in if (model == "lm") "t" else c("z", "knha")) {
      r <- attempt(if (model == "lm") regtest(f, model = "lm", predictor = predictor)
                   else regtest(fit(d, "REML", test), predictor = predictor), paste(id, model, predictor, test))
      tests[[length(tests) + 1]] <- list(id = id, model = model, predictor = predictor, test = test,
        statistic = num(r$zval), p = num(r$pval), est = num(r$est), low = num(r$ci.lb), high = num(r$ci.ub))
    }
  r <- attempt(ranktest(f), paste(id, "rank"))
  ranks[[length(ranks) + 1]] <- list(id = id, tau = num(r$tau), p = num(r$pval))

  for (method in c("EE", "DL", "REML")) for (estimator in c("L0", "R0", "Q0")) for (side in c("auto", "left", "right")) {
    f <- fit(d, method)
    label <- paste(id, method, estimator, side)
    t <- attempt(if (side == "auto") trimfill(f, estimator = estimator, control = f$control)
                 else trimfill(f, estimator = estimator, side = side, control = f$control), label)
    if (is.null(t)) next
    refit <- fit(data.frame(yi = as.numeric(t$yi), vi = t$vi, ni = 10), method)
    fills[[length(fills) + 1]] <- list(id = id, method = method, estimator = estimator, side = side, on = t$side,
      k0 = t$k0, se_k0 = num(t$se.k0), p_k0 = num(t$p.k0), est = num(refit$beta), se = refit$se,
      tau2 = num(refit$tau2), q = num(refit$QE))
  }

  # selection models; metafor's likelihood and optimum, without its Hessian (numDeriv is not at hand) -------
  m <- fit(d, "ML")
  cuts <- list(one = .025, two = c(.025, .5), three = c(.05, .1, .5), coarse = .5)
  smooth <- c("beta", "halfnorm", "negexp", "power")
  for (side in c("greater", "less", "two.sided")) for (name in c(names(cuts), smooth)) {
    label <- paste(id, side, name)
    # metafor integrates every study numerically at every step: two sets, each in the direction it was drawn in
    if (name %in% smooth && !(paste(id, side) %in% c("k20-biased greater", "k25-negative less"))) next
    if (side == "two.sided" && !(name %in% c("two", "three"))) next
    s <- NULL
    for (tol in if (name %in% smooth) 1e-9 else c(1e-10, 1e-9)) if (is.null(s)) {    # nlminb refuses what rounding does not allow
      sharp <- list(optimizer = "nlminb", rel.tol = tol, x.tol = 1e-9, iter.max = 2000, eval.max = 4000,
                    intCtrl = list(rel.tol = 1e-8, subdivisions = 1000L))
      s <- attempt(if (name %in% smooth) selmodel(m, type = name, alternative = side, skiphes = TRUE, control = sharp)
                   else selmodel(m, type = "stepfun", alternative = side, steps = cuts[[name]], skiphes = TRUE,
                                 control = sharp), label)
      if (!is.null(s)) why[[label]] <- NULL
    }
    if (is.null(s)) next
    selections[[length(selections) + 1]] <- list(id = id, alternative = side, model = name,
      steps = if (name %in% smooth) NA else I(cuts[[name]]), est = num(s$beta), tau2 = num(s$tau2),
      delta = as.numeric(s$delta), loglik = num(s$fit.stats["ll", "ML"]), lrt = num(s$LRT), counts =
      if (name %in% smooth) NA else as.integer(table(cut(
        if (side == "two.sided") 2 * pnorm(-abs(d$yi) / sqrt(d$vi)) else
          pnorm(d$yi / sqrt(d$vi), lower.tail = side == "less"), c(0, cuts[[name]], 1), include.lowest = TRUE))))
  }

  # p-uniform*: densities of effects, truncated at the critical value of their own study; base R alone ----------
  for (side in c("greater", "less")) {
    y <- if (side == "greater") d$yi else -d$yi
    crit <- qnorm(.975) * sqrt(d$vi); sig <- y > crit
    loglik <- function(mu, t2) { s <- sqrt(d$vi + t2)
      sum(dnorm(y, mu, s, log = TRUE) -
          ifelse(sig, pnorm(crit, mu, s, lower.tail = FALSE, log.p = TRUE), pnorm(crit, mu, s, log.p = TRUE))) }
    inner <- function(t2) optimize(function(m) loglik(m, t2), c(-3, 3), maximum = TRUE, tol = 1e-10)
    grid <- c(0, exp(seq(log(1e-5), log(2), length.out = 40)))
    values <- sapply(grid, function(t2) inner(t2)$objective)
    j <- which.max(values)
    best <- if (j == 1 && inner(1e-9)$objective <= values[1]) 0 else
      optimize(function(t2) inner(t2)$objective, c(grid[max(1, j - 1)], grid[min(41, j + 1)]), maximum = TRUE,
               tol = 1e-10)$maximum
    top <- inner(best)
    stars[[length(stars) + 1]] <- list(id = id, alternative = side, significant = sum(sig),
      est = if (side == "greater") top$maximum else -top$maximum, tau2 = best, loglik = top$objective,
      at_zero = max(sapply(c(0, best, grid), function(t2) loglik(0, t2))))
  }
}

versions <- list(R = R.version.string, metafor = as.character(packageVersion("metafor")),
                 jsonlite = as.character(packageVersion("jsonlite")))
exact <- function(x) ifelse(is.na(x), NA_character_, sprintf("%.17g", x))
text <- toJSON(rapply(list(versions = versions, data = lapply(names(data), function(id) c(list(id = id), data[[id]])),
                           influence = influence_rows, tests = tests, ranks = ranks, fills = fills,
                           selections = selections, stars = stars, why = as.list(why)),
                      exact, classes = "numeric", how = "replace"),
               auto_unbox = TRUE, na = "null", null = "null")
con <- gzfile(out, "w", compression = 9); writeLines(text, con); close(con)
cat(length(data), "data sets,", length(influence_rows), "influence rows,", length(tests), "tests,", length(fills),
    "fills,", length(selections), "selection models,", length(why), "cells without an answer\n")
