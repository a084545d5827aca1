# What mclust finds, for `mclust_reference.py`: Rscript mclust_reference.R JOBS.json RESULTS.json
#
# JOBS: cases (X, labels 1..k, structures), the numbers of iterations, names of data sets for whole tables.
suppressPackageStartupMessages({
  library(mclust)
  library(jsonlite)
})
arguments <- commandArgs(trailingOnly = TRUE)
jobs <- fromJSON(arguments[1], simplifyVector = TRUE, simplifyMatrix = TRUE, simplifyDataFrame = FALSE)

# EM from the M-step of labels. `tol` is relative, of the log-likelihood; 0 never stops before `itmax`.
# The M-steps that iterate (VEI, VEE, VEV, EVE, VVE) make all of their iterations, far beyond mclust's own 1.5e-8.
em <- function(job, structure, itmax, tol) {
  control <- emControl(eps = 0, itmax = c(itmax, jobs$inner_itmax), tol = c(tol, 0))
  found <- suppressWarnings(me(data = job$X, modelName = structure, z = unmap(job$labels), control = control))
  iterations <- abs(as.numeric(unlist(attr(found, "info"))[1]))
  list(
    loglik = found$loglik, code = attr(found, "returnCode"), n_iter = iterations, pro = found$parameters$pro,
    mean = found$parameters$mean, sigma = found$parameters$variance$sigma, sigmasq = found$parameters$variance$sigmasq
  )
}

cell <- function(job, structure) {
  list(
    n_parameters = nMclustParams(structure, d = ncol(job$X), G = max(job$labels)),
    after = lapply(jobs$iterations, function(itmax) em(job, structure, itmax, 0)),
    converged = em(job, structure, jobs$most, jobs$tol),
    bic_of_one = as.numeric(mclustBIC(job$X, G = 1, modelNames = structure, verbose = FALSE))
  )
}

# BIC of every structure and size from mclust's own starts, the partitions that it starts from, and its choice.
search <- function(X) {
  sizes <- seq_len(jobs$largest)
  bic <- mclustBIC(X, G = sizes, verbose = FALSE)
  best <- Mclust(X, x = bic, verbose = FALSE)
  tree <- hc(X, modelName = mclust.options("hcModelName"), use = mclust.options("hcUse"))
  list(
    bic = lapply(setNames(colnames(bic), colnames(bic)), function(name) as.numeric(bic[, name])),
    partitions = lapply(sizes, function(k) as.integer(hclass(tree, k)[, 1])),
    hc = c(mclust.options("hcModelName"), mclust.options("hcUse")),
    best = list(
      structure = best$modelName, n_components = best$G, loglik = best$loglik, n_parameters = best$df, bic = best$bic,
      icl = best$icl, sizes = as.integer(table(best$classification))
    )
  )
}

results <- list(
  mclust = as.character(packageVersion("mclust")),
  R = paste(R.version$major, R.version$minor, sep = "."),
  cases = lapply(jobs$cases, function(job) {
    lapply(setNames(job$structures, job$structures), function(structure) cell(job, structure))
  }),
  searches = lapply(jobs$searches, search)
)
writeLines(toJSON(results, digits = I(15), auto_unbox = TRUE, na = "null", null = "null"), arguments[2])
