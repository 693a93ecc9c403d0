# Effect sizes with metafor's escalc for tests/effects/test_escalc.py.
#
#   Rscript tests/reference/make_escalc.R OUT.json.gz [SEED]
#
# Written against metafor 3.8-1 (Debian 12). Only cells where 3.8-1 and 5.1-12 have one formula are made,
# or where the difference is one known factor; the test says which (docs/differences.md).

suppressMessages(library(metafor))
args <- commandArgs(trailingOnly = TRUE)
out <- args[[1]]
seed <- if (length(args) > 1) as.integer(args[[2]]) else 20261123L
set.seed(seed)
k <- 80

m1 <- round(runif(k, 1, 40), 2)
means <- data.frame(
  m1 = m1, sd1 = round(runif(k, 0.3, 12), 2), n1 = sample(3:120, k, TRUE),
  m2 = round(m1 * exp(rnorm(k, 0, 0.4)), 2), sd2 = round(runif(k, 0.3, 12), 2), n2 = sample(3:120, k, TRUE)
)
n1 <- sample(2:150, k, TRUE)
n2 <- sample(2:150, k, TRUE)
events <- data.frame(a = rbinom(k, n1, rbeta(k, 0.7, 1.5)), n1 = n1, c = rbinom(k, n2, rbeta(k, 0.7, 1.5)), n2 = n2)
events$a[1:6] <- c(0, 0, n1[3], n1[4], 0, 2)
events$c[1:6] <- c(0, 1, n2[3], 1, n2[5], 0)
# phi and its variance exist
mixed <- events[with(events, a + c > 0 & a + c < n1 + n2 & !(a == 0 & c == n2) & !(a == n1 & c == 0)), ]
inner <- events[with(events, a > 0 & a < n1 & c > 0 & c < n2), ]
rates <- data.frame(x1 = rpois(k, 8), t1 = round(runif(k, 5, 400), 1), x2 = rpois(k, 8), t2 = round(runif(k, 5, 400), 1))
rates$x1[1:3] <- c(0, 0, 4)
rates$x2[1:3] <- c(0, 3, 0)
m1 <- round(runif(k, 1, 40), 2)
pairs <- data.frame(
  m1 = m1, m2 = round(m1 * exp(rnorm(k, 0, 0.3)), 2), sd1 = round(runif(k, 0.3, 12), 2),
  sd2 = round(runif(k, 0.3, 12), 2), n = sample(3:150, k, TRUE), r = round(runif(k, -0.6, 0.95), 2)
)
single <- data.frame(x = events$a, n = events$n1)
rate <- data.frame(x = rates$x1, t = rates$t1)
corr <- data.frame(r = round(runif(k, -0.97, 0.97), 3), n = sample(4:300, k, TRUE))
group <- data.frame(m = means$m1, sd = means$sd1, n = means$n1)
families <- list(
  means = means, events = events, mixed = mixed, inner = inner, rates = rates, pairs = pairs,
  single = single, rate = rate, corr = corr, group = group
)

call_of <- list(
  means = function(...) escalc(m1i = means$m1, sd1i = means$sd1, n1i = means$n1, m2i = means$m2, sd2i = means$sd2, n2i = means$n2, ...),
  events = function(...) escalc(ai = events$a, n1i = events$n1, ci = events$c, n2i = events$n2, ...),
  mixed = function(...) escalc(ai = mixed$a, n1i = mixed$n1, ci = mixed$c, n2i = mixed$n2, ...),
  inner = function(...) escalc(ai = inner$a, n1i = inner$n1, ci = inner$c, n2i = inner$n2, ...),
  rates = function(...) escalc(x1i = rates$x1, t1i = rates$t1, x2i = rates$x2, t2i = rates$t2, ...),
  pairs = function(...) escalc(m1i = pairs$m1, m2i = pairs$m2, sd1i = pairs$sd1, sd2i = pairs$sd2, ni = pairs$n, ri = pairs$r, ...),
  single = function(...) escalc(xi = single$x, ni = single$n, ...),
  rate = function(...) escalc(xi = rate$x, ti = rate$t, ...),
  corr = function(...) escalc(ri = corr$r, ni = corr$n, ...),
  group = function(...) escalc(mi = group$m, sdi = group$sd, ni = group$n, ...)
)

grid <- list(
  means = list(
    MD = c("LS", "UB", "HO"), SMD = c("LS", "LS2", "UB", "AV"), SMD1 = c("LS", "LS2", "UB", "AV"), SMD1H = "LS", SMDH = "LS",
    ROM = c("LS", "AV"), CVR = "LS", VR = "LS", D2ORL = "LS", D2ORN = "LS", RPB = c("LS", "ST", "CS"), RBIS = "LS"
  ),
  events = list(
    OR = "LS", RR = "LS", RD = c("LS", "UB", "AV"), PETO = "LS", AS = "LS", YUQ = "LS", PBIT = "LS", OR2DL = "LS", OR2DN = "LS"
  ),
  mixed = list(PHI = c("LS", "ST", "CS")),
  rates = list(IRR = "LS", IRD = "LS", IRSD = "LS"),
  pairs = list(MC = "LS", SMCC = c("LS", "LS2"), SMCR = c("LS", "LS2"), SMCRH = "LS", ROMC = "LS"),
  single = list(PR = c("LS", "UB", "AV"), PLO = c("LS", "AV"), PLN = c("LS", "AV"), PAS = "LS", PFT = "LS"),
  rate = list(IR = "LS", IRLN = "LS", IRS = "LS"),
  corr = list(COR = c("LS", "AV"), ZCOR = "LS"),
  group = list(MN = "LS")
)

# RD with UB divides by n - 1, which is 0 for a group of one; groups of two and more are drawn above.
cases <- list()
for (family in names(grid)) {
  for (measure in names(grid[[family]])) {
    for (vtype in grid[[family]][[measure]]) {
      made <- suppressWarnings(call_of[[family]](measure = measure, vtype = vtype))
      cases[[length(cases) + 1]] <- list(family = family, measure = measure, vtype = vtype, yi = made$yi, vi = made$vi)
    }
  }
}
for (measure in c("OR", "RR", "RD", "PETO")) { # nothing added
  made <- call_of$inner(measure = measure, to = "none")
  cases[[length(cases) + 1]] <- list(family = "inner", measure = measure, vtype = "LS", zero_cells = "none", yi = made$yi, vi = made$vi)
}
# RevMan's rule for odds ratios is metafor's with drop00 = TRUE
made <- suppressWarnings(call_of$events(measure = "OR", drop00 = TRUE))
cases[[length(cases) + 1]] <- list(family = "events", measure = "OR", vtype = "LS", zero_cells = "RevMan", yi = made$yi, vi = made$vi)

pft <- call_of$single(measure = "PFT")
back <- transf.ipft(pft$yi, single$n)

number <- function(x) {
  text <- sprintf("%.17g", as.numeric(x))
  text[is.na(x)] <- "null"
  paste0("[", paste(text, collapse = ","), "]")
}
frame <- function(d) paste0("{", paste(sprintf("\"%s\":%s", names(d), vapply(d, number, "")), collapse = ","), "}")
case <- function(x) {
  tags <- setdiff(names(x), c("yi", "vi"))
  head <- paste(sprintf("\"%s\":\"%s\"", tags, unlist(x[tags])), collapse = ",")
  sprintf("{%s,\"yi\":%s,\"vi\":%s}", head, number(x$yi), number(x$vi))
}
text <- sprintf(
  "{\"made_with\":{\"R\":\"%s\",\"metafor\":\"%s\",\"seed\":%d},\n\"families\":{%s},\n\"cases\":[%s],\n\"ipft\":%s}",
  paste(R.version$major, R.version$minor, sep = "."), as.character(packageVersion("metafor")), seed,
  paste(sprintf("\"%s\":%s", names(families), vapply(families, frame, "")), collapse = ",\n"),
  paste(vapply(cases, case, ""), collapse = ",\n"), number(back)
)
con <- gzfile(out, "w", compression = 9)
writeLines(text, con)
close(con)
