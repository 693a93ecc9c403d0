# Three-level models of generated data, made with metafor; writes dependent_generated.json.gz beside itself.
#
#   Rscript tests/reference/make_dependent.R [out.json.gz]
#
# `cr2` is computed here with dense matrices, without clubSandwich,
# from the formulas of Pustejovsky & Tipton (2018) and Tipton & Pustejovsky (2015), a second route at
# metafor's variances; what clubSandwich itself gives stands in dependent.json. Everything else is metafor's.
suppressMessages({library(metafor); library(jsonlite)})

args <- commandArgs(trailingOnly = TRUE)
here <- dirname(sub("^--file=", "", grep("^--file=", commandArgs(FALSE), value = TRUE)))
out <- if (length(args)) args[1] else file.path(here, "dependent_generated.json.gz")
RNGkind("Mersenne-Twister", "Inversion", "Rejection")
set.seed(20261125)

simulate <- function(m, largest, between, within) {
  sizes <- sample(largest, m, replace = TRUE); sizes[1] <- max(sizes[1], 2)
  cluster <- rep(seq_len(m), sizes); k <- length(cluster)
  vi <- signif(exp(runif(k, log(.01), log(.4))), 5)
  x1 <- round(rnorm(k), 3); x2 <- rep(rbinom(m, 1, .5), sizes)
  if (length(unique(x2)) == 1) x2[cluster == 1] <- 1 - x2[1]
  yi <- round(.2 + .1 * x1 + rnorm(m, 0, sqrt(between))[cluster] + rnorm(k, 0, sqrt(vi + within)), 5)
  data.frame(yi, vi, x1, x2, cluster, row = seq_len(k))
}
sets <- list()
grid <- expand.grid(m = c(5, 9, 16, 30), between = c(0, .05, .3), within = c(0, .1))
for (i in seq_len(nrow(grid))) sets[[sprintf("m%d-b%g-w%g", grid$m[i], grid$between[i], grid$within[i])]] <-
  simulate(grid$m[i], 5, grid$between[i], grid$within[i])
sets[["few-large"]] <- simulate(4, 20, .1, .1)
sets[["one-pair"]] <- local({d <- simulate(12, 1, .1, .1); d$cluster[d$row == 2] <- 1; d})
sets[["scale-1e3"]] <- local({d <- simulate(10, 4, .1, .1); d$yi <- d$yi * 1e3; d$vi <- d$vi * 1e6; d})

quiet <- function(x) suppressWarnings(suppressMessages(x))
num <- function(x) as.numeric(x)
V_of <- function(d, rho) {
  if (is.null(rho)) return(diag(d$vi))
  V <- outer(d$cluster, d$cluster, "==") * rho * outer(sqrt(d$vi), sqrt(d$vi)); diag(V) <- d$vi; V
}
# the best of several optimisers and starts: each alone stops 1e-6 of a standard error away, or fails
fit_one <- function(d, rho, method, mods) {
  best <- NULL
  for (control in list(list(optimizer = "nlminb", rel.tol = 1e-12), list(optimizer = "BFGS", reltol = 1e-16, maxit = 2000),
                       list(optimizer = "Nelder-Mead", reltol = 1e-16, maxit = 5000)))
    for (start in list(NULL, c(.001, .2), c(.2, .001))) {
      if (!is.null(start)) control$sigma2.init <- start * var(d$yi)
      r <- tryCatch(quiet(rma.mv(yi, V_of(d, rho), mods = mods, random = ~ 1 | cluster/row, data = d,
                                 method = method, control = control)), error = function(e) NULL)
      if (!is.null(r) && (is.null(best) || logLik(r) > logLik(best))) best <- r
    }
  best
}

# the dense route to CR2, Satterthwaite and HTZ ------------------------------------------------------------
power <- function(A, p) {
  e <- eigen((A + t(A)) / 2, symmetric = TRUE); keep <- e$values > 1e-12 * max(e$values)
  e$vectors[, keep, drop = FALSE] %*% diag(e$values[keep]^p, sum(keep)) %*% t(e$vectors[, keep, drop = FALSE])
}
cr2 <- function(r, d, C) {
  X <- r$X; Phi <- r$M; W <- solve(Phi); Q <- solve(t(X) %*% W %*% X); k <- nrow(X)
  IH <- diag(k) - X %*% Q %*% t(X) %*% W
  e <- d$yi - X %*% r$beta
  parts <- lapply(unique(d$cluster), function(j) {
    i <- which(d$cluster == j)
    D <- chol(Phi[i, i, drop = FALSE])
    B <- D %*% IH[i, , drop = FALSE] %*% Phi %*% t(IH[i, , drop = FALSE]) %*% t(D)
    A <- t(D) %*% power(B, -1/2) %*% D
    list(score = Q %*% t(X[i, , drop = FALSE]) %*% W[i, i] %*% A %*% e[i],
         G = t(IH[i, , drop = FALSE]) %*% A %*% W[i, i] %*% X[i, , drop = FALSE] %*% Q)  # (k, p)
  })
  V <- Reduce(`+`, lapply(parts, function(p) p$score %*% t(p$score)))
  df_of <- function(c) {
    g <- sapply(parts, function(p) p$G %*% c); O <- t(g) %*% Phi %*% g; sum(diag(O))^2 / sum(O^2)
  }
  res <- list(se = sqrt(diag(V)), df = apply(diag(ncol(X)), 1, df_of))
  if (!is.null(C)) {
    q <- nrow(C)
    Om <- Reduce(`+`, lapply(parts, function(p) C %*% t(p$G) %*% Phi %*% p$G %*% t(C)))
    S <- power(Om, -1/2) %*% C; total <- 0
    for (a in parts) for (b in parts) {
      P <- S %*% t(a$G) %*% Phi %*% b$G %*% t(S)
      total <- total + sum(diag(P))^2 + sum(diag(P %*% P))
    }
    eta <- q * (q + 1) / total
    Qs <- as.numeric(t(C %*% r$beta) %*% solve(C %*% V %*% t(C)) %*% (C %*% r$beta))
    res$htz <- c(eta, (eta - q + 1) / (eta * q) * Qs)
  }
  res
}

fits <- list()
for (id in names(sets)) for (rho in list(NULL, .6)) for (method in c("REML", "ML")) for (formula in c("1", "x1 + x2")) {
  d <- sets[[id]]
  r <- fit_one(d, rho, method, as.formula(paste("~", formula)))
  row <- list(id = id, rho = if (is.null(rho)) NA else rho, method = method, formula = formula,
              sigma2 = num(r$sigma2), coef = num(r$beta), se = num(r$se), loglik = num(logLik(r)), qe = num(r$QE))
  if (formula != "1") row$qm <- num(r$QM)
  if (method == "REML") {
    row$cr2 <- cr2(r, d, if (formula == "1") NULL else cbind(0, diag(2)))
    rb <- quiet(robust(r, cluster = d$cluster)); row$cr1p <- list(se = num(rb$se), pval = num(rb$pval))
    if (formula == "1" && is.null(rho)) {
      row$ranef <- num(ranef(r)[[1]]$intrcpt)
      if (min(r$sigma2) > 1e-4 && nrow(d) < 60) {
        # confint refits at every step, for which only the default optimiser is steady enough
        ci <- quiet(confint(rma.mv(yi, vi, random = ~ 1 | cluster/row, data = d)))
        row$pl <- list(between = num(ci[[1]]$random[1, 2:3]), within = num(ci[[2]]$random[1, 2:3]))
      }
    }
  }
  fits[[length(fits) + 1]] <- row
}

versions <- list(R = R.version.string, metafor = as.character(packageVersion("metafor")),
                 jsonlite = as.character(packageVersion("jsonlite")))
exact <- function(x) ifelse(is.na(x), NA_character_, sprintf("%.17g", x))
text <- toJSON(rapply(list(versions = versions, data = lapply(names(sets), function(id) c(list(id = id), sets[[id]])),
                           fits = fits), exact, classes = c("numeric", "integer"), how = "replace"),
               auto_unbox = TRUE, na = "null", null = "null")
con <- gzfile(out, "w", compression = 9); writeLines(text, con); close(con)
cat(length(sets), "data sets,", length(fits), "fits\n")
