# Profile-likelihood intervals of the variance components of multivariate models with metafor; writes
# multivariate_profile.json beside itself. The data are those of make_multivariate.R, read from multivariate.json.gz.
#
#   Rscript tests/reference/make_multivariate_profile.R [out.json]
#
# Debian: r-cran-metafor, r-cran-jsonlite. An interval that metafor's search does not find has its reason in `why`.
suppressMessages({library(metafor); library(jsonlite)})

args <- commandArgs(trailingOnly = TRUE)
here <- dirname(sub("^--file=", "", grep("^--file=", commandArgs(FALSE), value = TRUE)))
out <- if (length(args)) args[1] else file.path(here, "multivariate_profile.json")
made <- fromJSON(gzfile(file.path(here, "multivariate.json.gz")), simplifyVector = FALSE)
num <- function(x) as.numeric(unlist(x))
quiet <- function(x) suppressWarnings(suppressMessages(x))
V_of <- function(d, rho) { V <- outer(d$study, d$study, "==") * rho * outer(sqrt(d$vi), sqrt(d$vi)); diag(V) <- d$vi; V }
controls <- list(list(optimizer = "nlminb", rel.tol = 1e-12, iter.max = 2000, eval.max = 4000), list(optimizer = "nlminb", iter.max = 2000, eval.max = 4000),
                 list(optimizer = "BFGS", reltol = 1e-14, maxit = 3000), list(optimizer = "Nelder-Mead", reltol = 1e-14, maxit = 9000))
found <- list(); why <- list()
for (set in made$data) {
  d <- data.frame(study = num(set$study), outcome = unlist(set$outcome), yi = num(set$yi), vi = num(set$vi)); rho <- num(set$known)
  q <- length(unique(d$outcome))
  for (struct in c("UN", "CS", "AR", "DIAG", "ID")) for (method in c("REML", "ML")) {
    if (struct == "AR" && q == 2) next
    if (struct == "UN" && q > 2) next  # metafor bounds correlations one by one, which is no covariance
    if (method == "ML" && set$id != "two") next
    fits <- lapply(controls, function(control) tryCatch(quiet(rma.mv(yi, V_of(d, rho), mods = ~ 0 + outcome, random = ~ outcome | study, struct = struct,
      data = d, method = method, control = control)), error = function(e) NULL))
    fits <- fits[!sapply(fits, is.null)]; fits <- fits[order(-sapply(fits, function(r) as.numeric(logLik(r))))]
    r <- fits[[1]]
    parts <- c(lapply(seq_along(r$tau2), function(j) list(what = "tau2", at = j)), if (struct %in% c("UN", "CS", "AR")) list(list(what = "rho", at = 1)))
    for (part in parts) {
      search <- list(tol = 1e-10, maxiter = 1000)
      for (r in fits) {  # an optimiser that stops on the way ends the search: the next one
        ci <- tryCatch(quiet(if (part$what == "tau2") confint(r, tau2 = part$at, control = search) else confint(r, rho = part$at, control = search)),
                       error = function(e) conditionMessage(e))
        if (!is.character(ci)) break
      }
      row <- c(list(id = set$id, struct = struct, method = method), part)
      if (is.character(ci)) { why[[length(why) + 1]] <- c(row, list(why = ci)); next }
      limits <- ci$random[1, c("estimate", "ci.lb", "ci.ub")]
      found[[length(found) + 1]] <- c(row, list(estimate = num(limits[[1]]), low = num(limits[[2]]), high = num(limits[[3]]), sign = paste0(ci$lb.sign, ci$ub.sign)))
      cat(set$id, struct, method, part$what, part$at, num(limits), "\n")
    }
  }
}
versions <- list(R = R.version.string, metafor = as.character(packageVersion("metafor")))
writeLines(trimws(toJSON(list(versions = versions, intervals = found, why = why), auto_unbox = TRUE, digits = NA, na = "null", null = "null", pretty = 1)), out)
cat(length(found), "intervals,", length(why), "without an answer\n")
