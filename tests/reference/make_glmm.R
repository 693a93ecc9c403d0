# Generalised linear mixed models of counts with metafor's rma.glmm, and exact conditional odds ratios with R's
# mantelhaen.test; writes glmm.json.gz beside itself.
#
#   Rscript tests/reference/make_glmm.R [out.json.gz]
#
# Debian: r-cran-metafor, r-cran-lme4, r-cran-biasedurn, r-cran-numderiv, r-cran-jsonlite. glmer integrates with 25
# nodes and stops early; rma.glmm's exact conditional model integrates with `integrate`. So ours is held to lie no
# lower, and to give their likelihood at their parameters.
suppressMessages({library(metafor); library(lme4); library(BiasedUrn); library(jsonlite)})

args <- commandArgs(trailingOnly = TRUE)
here <- dirname(sub("^--file=", "", grep("^--file=", commandArgs(FALSE), value = TRUE)))
out <- if (length(args)) args[1] else file.path(here, "glmm.json.gz")
RNGkind("Mersenne-Twister", "Inversion", "Rejection")
set.seed(20261128)

simulate <- function(k, base, effect, tau, size) {
  n1 <- sample(size[1]:size[2], k, replace = TRUE); n2 <- sample(size[1]:size[2], k, replace = TRUE)
  alpha <- qlogis(base) + rnorm(k, 0, .5); theta <- rnorm(k, effect, tau)
  data.frame(a = rbinom(k, n1, plogis(alpha + theta)), n1, c = rbinom(k, n2, plogis(alpha)), n2)
}
counts <- list(
  bcg = with(dat.bcg, data.frame(a = tpos, n1 = tpos + tneg, c = cpos, n2 = cpos + cneg)),
  nielweise2007 = with(dat.nielweise2007, data.frame(a = ai, n1 = n1i, c = ci, n2 = n2i)),
  common = simulate(12, .3, .5, .4, c(20, 80)),
  rare = simulate(20, .02, -.6, .5, c(40, 200)),
  rare2 = simulate(8, .04, .8, .2, c(30, 120)),
  spread = simulate(15, .2, -.3, 1.2, c(15, 60)),
  none = simulate(10, .25, .2, 0, c(20, 60)),
  few = simulate(4, .4, -1, .6, c(20, 40)))
rates <- list(
  nielweise2008 = with(dat.nielweise2008, data.frame(x1 = x1i, t1 = t1i, x2 = x2i, t2 = t2i)),
  many = local({k <- 14; t1 <- round(runif(k, 20, 300)); t2 <- round(runif(k, 20, 300)); b <- exp(rnorm(k, -3, .5))
    data.frame(x1 = rpois(k, t1 * b * exp(rnorm(k, -.4, .5))), t1, x2 = rpois(k, t2 * b), t2)}),
  dense = local({k <- 9; t1 <- round(runif(k, 50, 200)); t2 <- round(runif(k, 50, 200)); b <- exp(rnorm(k, -1, .3))
    data.frame(x1 = rpois(k, t1 * b * exp(rnorm(k, .3, .3))), t1, x2 = rpois(k, t2 * b), t2)}))

num <- function(x) as.numeric(x)
quiet <- function(x) suppressWarnings(suppressMessages(x))
told <- function(r) list(est = num(r$beta), se = num(r$se), tau2 = num(r$tau2), se_tau2 = num(r$se.tau2),
                         loglik = num(logLik(r)), qe_lrt = num(r$QE.LRT), qe_df = num(r$QE.df), ci = c(num(r$ci.lb), num(r$ci.ub)))
exact_control <- list(dnchgcalc = "dFNCHypergeo", optimizer = "nlminb", rel.tol = 1e-12, scale = FALSE, hessianCtrl = list(r = 8),
                      intCtrl = list(lower = -Inf, upper = Inf, rel.tol = 1e-9, subdivisions = 2000L, stop.on.error = TRUE))
fits <- list(); why <- list()
add <- function(id, measure, model, method, call) {
  r <- tryCatch(quiet(call), error = function(e) conditionMessage(e))
  if (is.character(r)) why[[length(why) + 1]] <<- list(id = id, measure = measure, model = model, method = method, why = r)
  else fits[[length(fits) + 1]] <<- c(list(id = id, measure = measure, model = model, method = method), told(r))
  cat(id, measure, model, method, if (is.character(r)) r else "", "\n")
}
for (id in names(counts)) { d <- counts[[id]]
  for (method in c("EE", "ML")) for (model in c("CM.AL", "UM.FS", "CM.EL"))
    add(id, "OR", model, method, rma.glmm(measure = "OR", ai = a, n1i = n1, ci = c, n2i = n2, data = d, model = model,
        method = method, control = if (model == "CM.EL") exact_control else list(nAGQ = 25)))
}
for (id in names(rates)) { d <- rates[[id]]
  for (method in c("EE", "ML")) for (model in c("CM.EL", "UM.FS"))
    add(id, "IRR", model, method, rma.glmm(measure = "IRR", x1i = x1, t1i = t1, x2i = x2, t2i = t2, data = d, model = model,
        method = method, control = list(nAGQ = 25)))
}

exact <- lapply(names(counts), function(id) { d <- counts[[id]]
  array <- array(rbind(d$a, d$c, d$n1 - d$a, d$n2 - d$c), c(2, 2, nrow(d)))
  lapply(c(.95, .9), function(level) {
    t <- mantelhaen.test(array, exact = TRUE, conf.level = level)
    list(id = id, level = level, est = num(t$estimate), ci = num(t$conf.int), p = num(t$p.value), s = num(t$statistic))
  })
})

versions <- list(R = R.version.string, metafor = as.character(packageVersion("metafor")),
                 lme4 = as.character(packageVersion("lme4")), BiasedUrn = as.character(packageVersion("BiasedUrn")))
text17 <- function(x) ifelse(is.na(x), NA_character_, sprintf("%.17g", x))
named <- function(sets) lapply(names(sets), function(id) c(list(id = id), sets[[id]]))
text <- toJSON(rapply(list(versions = versions, counts = named(counts), rates = named(rates), fits = fits, why = why,
                           exact = unlist(exact, recursive = FALSE)),
                      text17, classes = c("numeric", "integer"), how = "replace"),
               auto_unbox = TRUE, na = "null", null = "null")
con <- gzfile(out, "w", compression = 9); writeLines(text, con); close(con)
cat(length(fits), "fits,", length(why), "without an answer\n")
