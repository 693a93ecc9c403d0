# From raw data to pooled estimates with metafor: every measure, estimator and interval; writes measures.json.gz
# beside itself.
#
#   Rscript tests/reference/make_measures.R [out.json.gz]
#
# Debian: r-cran-metafor (with r-cran-metadat), r-cran-jsonlite. Real data are those of metadat; the others are
# simulated. Effects are escalc's; where metafor 3.8-1 has another formula than 5.1-12 (docs/differences.md), 5.1's
# is written out below. Iterations run far below metafor's defaults, so that the numbers are converged ones.
# Fisher scoring ends a little above a tau2 of 0. `auto` and `IQWiG` are rules that pick one of metafor's intervals;
# `PL` (dnorm, optimize, uniroot) and `KR` (the matrices of Kenward and Roger 1997) are base R alone.
suppressMessages({library(metafor); library(jsonlite)})

args <- commandArgs(trailingOnly = TRUE)
here <- dirname(sub("^--file=", "", grep("^--file=", commandArgs(FALSE), value = TRUE)))
out <- if (length(args)) args[1] else file.path(here, "measures.json.gz")
RNGkind("Mersenne-Twister", "Inversion", "Rejection")
set.seed(20261128)
quiet <- function(x) suppressWarnings(suppressMessages(x))
num <- function(x) if (is.null(x) || !length(x) || is.na(x[1])) NA_real_ else as.numeric(x)[1]

# data ---------------------------------------------------------------------------------------------------
whole <- function(low, high, k) sample(low:high, k, replace = TRUE)
means_of <- function(k, effect, tau, sizes) {
  m2 <- runif(k, 10, 40); sd <- runif(k, 2, 6)
  data.frame(m1 = round(m2 + sd * rnorm(k, effect, tau + .15), 2), sd1 = round(sd * runif(k, .8, 1.3), 2), n1 = whole(sizes[1], sizes[2], k),
             m2 = round(m2, 2), sd2 = round(sd, 2), n2 = whole(sizes[1], sizes[2], k))
}
events_of <- function(k, base, effect, tau, sizes) {
  n1 <- whole(sizes[1], sizes[2], k); n2 <- whole(sizes[1], sizes[2], k)
  a <- qlogis(base) + rnorm(k, 0, .4)
  data.frame(a = rbinom(k, n1, plogis(a + rnorm(k, effect, tau))), n1, c = rbinom(k, n2, plogis(a)), n2)
}
rates_of <- function(k, rate, effect, tau) {
  t1 <- round(runif(k, 30, 300), 1); t2 <- round(runif(k, 30, 300), 1); b <- rate * exp(rnorm(k, 0, .4))
  data.frame(x1 = rpois(k, t1 * b * exp(rnorm(k, effect, tau))), t1, x2 = rpois(k, t2 * b), t2)
}
pairs_of <- function(k, effect, tau, sizes) {
  m2 <- runif(k, 10, 40); sd <- runif(k, 2, 6)
  data.frame(m1 = round(m2 + sd * rnorm(k, effect, tau + .1), 2), m2 = round(m2, 2), sd1 = round(sd * runif(k, .8, 1.3), 2), sd2 = round(sd, 2),
             n = whole(sizes[1], sizes[2], k), r = round(runif(k, .2, .85), 2))
}
single_of <- function(k, base, tau, sizes) {
  n <- whole(sizes[1], sizes[2], k); data.frame(x = rbinom(k, n, plogis(qlogis(base) + rnorm(k, 0, tau))), n)
}
rate_of <- function(k, rate, tau) {
  t <- round(runif(k, 30, 300), 1); data.frame(x = rpois(k, t * rate * exp(rnorm(k, 0, tau))), t)
}
corr_of <- function(k, z, tau, sizes) {
  n <- whole(sizes[1], sizes[2], k); data.frame(r = round(tanh(rnorm(k, z, sqrt(tau^2 + 1 / (n - 3)))), 3), n)
}
group_of <- function(k, tau, sizes) {
  n <- whole(sizes[1], sizes[2], k); sd <- runif(k, 2, 6)
  data.frame(m = round(rnorm(k, 20, sqrt(tau^2 + sd^2 / n)), 2), sd = round(sd, 2), n)
}
known <- function(d) d[complete.cases(d), ]
tables <- function(d) known(data.frame(a = d$ai, n1 = d$n1i, c = d$ci, n2 = d$n2i))
arms <- function(d) data.frame(m1 = d$m1i, sd1 = d$sd1i, n1 = d$n1i, m2 = d$m2i, sd2 = d$sd2i, n2 = d$n2i)
collins <- function(x) { d <- dat.collins1985b; n <- if (x == "pre") "pre" else "fup"
  known(data.frame(a = d[[paste0(x, ".xti")]], n1 = d[[paste0(n, ".nti")]], c = d[[paste0(x, ".xci")]], n2 = d[[paste0(n, ".nci")]])) }
diabetes <- subset(dat.senn2013, treatment == "placebo")
bleeding <- subset(dat.pagliaro1992, trt == "control")
sets <- list(
  means = list(
    normand1999 = arms(dat.normand1999), gibson2002 = known(arms(dat.gibson2002)), curtis1998 = arms(dat.curtis1998[1:30, ]),
    michael2013 = with(dat.michael2013, data.frame(m1 = Brain_m, sd1 = Brain_s, n1 = Brain_n, m2 = No_brain_m, sd2 = No_brain_s, n2 = No_brain_n)),
    `means-3` = means_of(3, .4, .3, c(10, 40)), `means-5-small` = means_of(5, -.5, .2, c(5, 12)), `means-8` = means_of(8, .2, 0, c(20, 80)),
    `means-12-spread` = means_of(12, -.3, .8, c(15, 60)), `means-20` = means_of(20, .3, .2, c(10, 150)), `means-2` = means_of(2, .5, .5, c(20, 40))),
  events = list(
    bcg = with(dat.bcg, data.frame(a = tpos, n1 = tpos + tneg, c = cpos, n2 = cpos + cneg)), egger2001 = tables(dat.egger2001), graves2010 = tables(dat.graves2010),
    hahn2001 = tables(dat.hahn2001), hine1989 = tables(dat.hine1989), laopaiboon2015 = tables(dat.laopaiboon2015), lau1992 = tables(dat.lau1992),
    lee2004 = tables(dat.lee2004), linde2005 = tables(dat.linde2005), nielweise2007 = tables(dat.nielweise2007), yusuf1985 = tables(subset(dat.yusuf1985, table == "6")),
    `collins1985-preeclampsia` = collins("pre"), `events-3` = events_of(3, .3, .6, .4, c(30, 90)), `events-10-rare` = events_of(10, .03, -.5, .4, c(40, 160)),
    `events-15-common` = events_of(15, .6, .3, .6, c(20, 60)), `events-2` = events_of(2, .4, -.7, .7, c(40, 90))),
  rates = list(
    hart1999 = with(dat.hart1999, data.frame(x1 = x1i, t1 = t1i, x2 = x2i, t2 = t2i)), nielweise2008 = with(dat.nielweise2008, data.frame(x1 = x1i, t1 = t1i, x2 = x2i, t2 = t2i)),
    `rates-4` = rates_of(4, .05, .4, .5), `rates-9` = rates_of(9, .2, -.3, .2), `rates-16-rare` = rates_of(16, .02, -.6, .4)),
  pairs = list(
    `pairs-3` = pairs_of(3, .5, .3, c(10, 40)), `pairs-5-small` = pairs_of(5, -.4, .2, c(5, 12)), `pairs-9` = pairs_of(9, .3, .5, c(20, 80)), `pairs-15` = pairs_of(15, .2, 0, c(15, 60))),
  single = list(
    pritz1997 = with(dat.pritz1997, data.frame(x = xi, n = ni)), debruin2009 = with(dat.debruin2009, data.frame(x = xi, n = ni)), hannum2020 = with(dat.hannum2020, data.frame(x = xi, n = ni)),
    `pagliaro1992-control` = with(bleeding, data.frame(x = xi, n = ni)), `hasselblad1998-no-contact` = with(subset(dat.hasselblad1998, trt == "no_contact"), data.frame(x = xi, n = ni)),
    `share-3` = single_of(3, .3, .4, c(20, 80)), `share-12-rare` = single_of(12, .03, .5, c(30, 200))),
  rate = list(
    `nielweise2008-control` = with(dat.nielweise2008, data.frame(x = x2i, t = t2i)), `hart1999-control` = with(dat.hart1999, data.frame(x = x2i, t = t2i)),
    `rate-4` = rate_of(4, .1, .5), `rate-14-rare` = rate_of(14, .02, .4)),
  corr = list(
    cohen1981 = with(dat.cohen1981, data.frame(r = ri, n = ni)), molloy2014 = with(dat.molloy2014, data.frame(r = ri, n = ni)),
    `mcdaniel1994-situational` = with(subset(dat.mcdaniel1994, type == "s"), data.frame(r = ri, n = ni)), `mcdaniel1994-psychological` = with(subset(dat.mcdaniel1994, type == "p"), data.frame(r = ri, n = ni)),
    `craft2003-confidence` = known(with(subset(dat.craft2003, var1 == "conf" & var2 == "perf"), data.frame(r = ri, n = ni))), `crede2010-grade` = with(subset(dat.crede2010, criterion == "grade"), data.frame(r = ri, n = ni))[1:25, ],
    `corr-3` = corr_of(3, .4, .2, c(20, 60)), `corr-11` = corr_of(11, -.2, .3, c(15, 120))),
  group = list(
    `normand1999-routine` = with(dat.normand1999, data.frame(m = m2i, sd = sd2i, n = n2i)), `senn2013-placebo` = with(diabetes, data.frame(m = mi, sd = sdi, n = ni)),
    `group-4` = group_of(4, 2, c(10, 40)), `group-10` = group_of(10, 0, c(20, 80))),
  effect = list(
    raudenbush1985 = with(dat.raudenbush1985, data.frame(yi, vi)), bangertdrowns2004 = with(dat.bangertdrowns2004, data.frame(yi, vi)), `effect-3` = data.frame(yi = c(.5, -.1, .8), vi = c(.05, .09, .02))),
  hazard = list(
    pignon2000 = with(dat.pignon2000[1:30, ], data.frame(yi = OmE / V, vi = 1 / V)), `hazard-4` = data.frame(yi = c(-.4, -.1, .2, -.6), vi = c(.04, .02, .09, .06)), `hazard-8` = data.frame(yi = round(rnorm(8, -.3, .4), 3), vi = signif(runif(8, .01, .15), 3))))

# measures: those most in use on every set of their family, the others on some ----------------------------------
few <- list(means = c("normand1999", "curtis1998", "means-5-small"), events = c("egger2001", "lee2004", "events-3"), rates = c("nielweise2008", "rates-4"),
            pairs = c("pairs-3", "pairs-9"), single = c("debruin2009", "hannum2020", "share-3"), rate = c("nielweise2008-control", "rate-4"))
often <- list(means = c("MD", "SMD", "SMDH", "ROM"), events = c("OR", "RR", "RD", "PETO"), rates = "IRR", pairs = c("MC", "SMCC", "SMCR"),
              single = c("PLO", "PFT"), rate = "IRLN", corr = c("COR", "ZCOR"), group = "MN", effect = "GEN", hazard = "HR")
seldom <- list(means = c("SMD1", "SMD1H", "CVR", "VR", "D2ORL", "D2ORN", "RPB", "RBIS"), events = c("AS", "PHI", "YUQ", "PBIT", "OR2DL", "OR2DN"), rates = c("IRD", "IRSD"),
               pairs = c("SMCRH", "SMCRP", "ROMC"), single = c("PR", "PLN", "PAS"), rate = c("IR", "IRS"))

J <- function(m) exp(lgamma(m / 2) - log(sqrt(m / 2)) - lgamma((m - 1) / 2))
effects <- function(measure, family, d) {
  call <- switch(family,
    means = function(m) escalc(m, m1i = m1, sd1i = sd1, n1i = n1, m2i = m2, sd2i = sd2, n2i = n2, data = d),
    events = function(m) escalc(m, ai = a, n1i = n1, ci = c, n2i = n2, data = d),
    rates = function(m) escalc(m, x1i = x1, t1i = t1, x2i = x2, t2i = t2, data = d),
    pairs = function(m) escalc(m, m1i = m1, m2i = m2, sd1i = sd1, sd2i = sd2, ni = n, ri = r, data = d),
    single = function(m) escalc(m, xi = x, ni = n, data = d), rate = function(m) escalc(m, xi = x, ti = t, data = d),
    corr = function(m) escalc(m, ri = r, ni = n, data = d), group = function(m) escalc(m, mi = m_, sdi = sd, ni = n, data = transform(d, m_ = d$m)),
    effect = , hazard = function(m) d)
  if (measure == "SMCRP") return(with(d, { s <- sqrt((sd1^2 + sd2^2) / 2); g <- J(2 * (n - 1) / (1 + r^2)) * (m1 - m2) / s
    list(yi = g, vi = 2 * (1 - r) / n + g^2 * (1 + r^2) / (4 * n)) }))
  e <- quiet(call(measure)); yi <- as.numeric(e$yi); vi <- as.numeric(e$vi)
  if (measure == "ROM") yi <- yi + with(d, (sd1^2 / (n1 * m1^2) - sd2^2 / (n2 * m2^2)) / 2)
  if (measure == "CVR") yi <- yi - with(d, (sd1^2 / (n1 * m1^2) - sd2^2 / (n2 * m2^2)) / 2)
  if (measure == "ROMC") yi <- yi + with(d, (sd1^2 / m1^2 - sd2^2 / m2^2) / (2 * n))
  if (measure == "SMDH") vi <- vi / J(d$n1 + d$n2 - 2)^2
  if (measure == "SMCRH") vi <- vi / J(d$n - 1)^2
  if (measure == "SMD1H") vi <- with(d, sd1^2 / sd2^2 / (n1 - 1) + 1 / (n2 - 1) + yi^2 / (2 * (n2 - 1)))
  list(yi = yi, vi = vi)
}

# fits ---------------------------------------------------------------------------------------------------
methods <- c("DL", "DL2", "HE", "HS", "HSk", "SJ", "ML", "REML", "EB", "PM", "PMM")
tight <- function(scale, more = 1) list(threshold = 1e-13 * scale * more, tol = 1e-13 * scale, maxiter = 20000, tau2.max = 1e7 * scale)
fit_one <- function(d, method, test, scale) {
  if (method == "DL2") {
    d$wi <- 1 / (d$vi + rma(yi, vi, data = d, method = "DL")$tau2)
    t2 <- rma(yi, vi, data = d, method = "GENQ", weights = wi)$tau2
    return(rma(yi, vi, data = d, method = "REML", tau2 = t2, test = test))
  }
  for (more in c(1, 10, 100, 1000)) {  # rounding may keep Fisher scoring above the first threshold
    f <- tryCatch(quiet(rma(yi, vi, data = d, method = method, test = test, control = tight(scale, more))), error = identity)
    if (!inherits(f, "error")) return(f)
  }
  stop(f)
}
profile_of_the_mean <- function(d) {
  scale <- median(d$vi); unit <- var(d$yi) + scale
  loglik <- function(mu, t) sum(dnorm(d$yi, mu, sqrt(d$vi + t), log = TRUE))
  best <- function(mu) {
    grid <- c(0, exp(seq(log(1e-6 * unit), log(1e3 * (unit + (mu - mean(d$yi))^2)), length.out = 60)))
    v <- sapply(grid, function(t) loglik(mu, t)); j <- which.max(v)
    o <- optimize(function(t) loglik(mu, t), c(grid[max(1, j - 1)], grid[min(length(grid), j + 1)]), maximum = TRUE, tol = 1e-13)
    max(v, o$objective)
  }
  mu <- seq(min(d$yi) - 1e-9, max(d$yi) + 1e-9, length.out = 41)  # the profile may have more than one top
  at <- which.max(sapply(mu, best))
  top <- optimize(best, mu[pmin(pmax(at + c(-1, 1), 1), 41)], maximum = TRUE, tol = 1e-13)
  drop <- function(mu) best(mu) - top$objective + qchisq(.95, 1) / 2
  reach <- 20 * sqrt(unit)
  c(uniroot(drop, c(top$maximum - reach, top$maximum), tol = 1e-13)$root, uniroot(drop, c(top$maximum, top$maximum + reach), tol = 1e-13)$root)
}
kenward_roger <- function(d, estimate, tau2) {
  X <- matrix(1, nrow(d)); inverse <- solve(diag(d$vi + tau2)); Phi <- solve(t(X) %*% inverse %*% X)
  P <- -t(X) %*% inverse %*% inverse %*% X; Q <- t(X) %*% inverse %*% inverse %*% inverse %*% X
  information <- .5 * (sum(diag(inverse %*% inverse)) - sum(diag(2 * Phi %*% Q - Phi %*% P %*% Phi %*% P)))
  adjusted <- as.numeric(Phi + 2 / information * Phi %*% (Q - P %*% Phi %*% P) %*% Phi)
  se <- sqrt(adjusted); df <- 2 * information / (adjusted * as.numeric(P))^2  # Partlett and Riley 2017: Phi adjusted here too
  c(se, 2 * pt(-abs(estimate) / se, df), estimate + c(-1, 1) * qt(.975, df) * se, df)
}
row_of <- function(f) c(num(f$se), num(f$pval), num(f$ci.lb), num(f$ci.ub))
tau2_ci <- function(f, type, d) {
  scale <- median(d$vi)
  ci <- quiet(confint(f, type = type, control = list(tol = 1e-14 * scale, maxiter = 10000, tau2.min = 0,
    tau2.max = max(1e4 * scale, 1e4 * var(d$yi), 1e3 * f$tau2)))$random["tau^2", ])
  c(num(ci["ci.lb"]), num(ci["ci.ub"]))
}
pool <- function(yi, vi) {
  d <- data.frame(yi, vi); scale <- median(vi); k <- nrow(d)
  dl <- fit_one(d, "DL", "z", scale)
  fits <- lapply(setNames(methods, methods), function(method) {
    f <- lapply(c(Wald = "z", HKSJ = "knha", `HKSJ-floor` = "adhoc"), function(test) fit_one(d, method, test, scale))
    wide <- function(x) num(x$ci.ub) - num(x$ci.lb)
    row <- c(list(tau2 = num(f$Wald$tau2), est = num(f$Wald$beta)), lapply(f, row_of))
    row$auto <- if (k <= 2 || f$Wald$tau2 < 1e-9 * scale) row$Wald else row$HKSJ
    row$IQWiG <- if (wide(f$HKSJ) < wide(dl)) row$`HKSJ-floor` else row$HKSJ
    if (method == "ML" && k <= 12) row$PL <- profile_of_the_mean(d)
    if (method == "REML") row$KR <- kenward_roger(d, row$est, row$tau2)
    if (method %in% c("DL", "REML")) {
      p <- function(x, ...) with(predict(x, ...), c(pi.lb, pi.ub))
      row$pi <- list(normal = p(f$Wald), HK = p(f$HKSJ))
      if (k > 2) row$pi <- c(row$pi, list(HTS = p(f$Wald, pi.type = "riley"), `HK-PR` = p(f$HKSJ, pi.type = "riley"),
        V = with(f$Wald, beta[1] + c(-1, 1) * qt(.975, k - 1) * sqrt(se^2 + tau2))))
    }
    row
  })
  ml <- fit_one(d, "ML", "z", scale); reml <- fit_one(d, "REML", "z", scale)
  list(fits = fits, tau2_ci = list(QP = tau2_ci(dl, "QP", d), PL = list(ML = tau2_ci(ml, "PL", d), REML = tau2_ci(reml, "PL", d)),
                                   Wald = list(ML = tau2_ci(ml, "Wald", d), REML = tau2_ci(reml, "Wald", d))))
}
pooled <- list()
for (family in names(sets)) for (id in names(sets[[family]])) {
  d <- sets[[family]][[id]]; rownames(d) <- NULL; sets[[family]][[id]] <- d
  for (measure in c(often[[family]], if (id %in% few[[family]]) seldom[[family]])) {
    e <- effects(measure, family, d)
    pooled[[length(pooled) + 1]] <- c(list(id = id, measure = measure, yi = e$yi, vi = e$vi), pool(e$yi, e$vi))
    cat(id, measure, "\n")
  }
}

versions <- list(R = R.version.string, metafor = as.character(packageVersion("metafor")), metadat = as.character(packageVersion("metadat")))
exact <- function(x) ifelse(is.na(x), NA_character_, sprintf("%.17g", x))
data <- unlist(lapply(names(sets), function(family) lapply(names(sets[[family]]), function(id)
  list(id = id, family = family, columns = as.list(sets[[family]][[id]])))), recursive = FALSE)
text <- toJSON(rapply(list(versions = versions, data = data, pooled = pooled), exact, classes = c("numeric", "integer"), how = "replace"),
               auto_unbox = TRUE, na = "null", null = "null")
con <- gzfile(out, "w", compression = 9); writeLines(text, con); close(con)
cat(length(data), "data sets,", length(pooled), "of set and measure\n")
