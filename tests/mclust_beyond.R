# What mclust finds with priors and with noise, for `mclust_beyond.py`: Rscript mclust_beyond.R JOBS.json RESULTS.json
#
# JOBS: cases (X, labels 1..k, 0 for noise), structures of each, priors of each, numbers of iterations; data for volumes.
suppressPackageStartupMessages({
  library(mclust)
  library(jsonlite)
})
arguments <- commandArgs(trailingOnly = TRUE)
jobs <- fromJSON(arguments[1], simplifyVector = TRUE, simplifyMatrix = TRUE, simplifyDataFrame = FALSE)

# EM from the M-step of labels, with `prior` (a list of arguments of priorControl, or NULL), and with noise if labels have 0.
em <- function(job, structure, prior, itmax, tol) {
  k <- max(job$labels)
  z <- sapply(seq_len(k), function(j) as.numeric(job$labels == j))
  vinv <- NULL
  if (any(job$labels == 0)) {
    z <- cbind(z, as.numeric(job$labels == 0))
    vinv <- hypvol(job$X, reciprocal = TRUE)
  }
  control <- emControl(eps = 0, itmax = c(itmax, jobs$inner_itmax), tol = c(tol, 0))
  own <- if (is.null(prior)) NULL else do.call(priorControl, prior)
  found <- suppressWarnings(me(data = job$X, modelName = structure, z = z, control = control, prior = own, Vinv = vinv))
  found <- list(
    loglik = found$loglik, pro = found$parameters$pro, mean = found$parameters$mean,
    sigma = found$parameters$variance$sigma, sigmasq = found$parameters$variance$sigmasq
  )
  found
}

run <- function(job) {
  k <- max(job$labels)
  lapply(job$runs, function(r) list(
    n_parameters = nMclustParams(r$structure, d = ncol(job$X), G = k, noise = any(job$labels == 0)),
    after = lapply(jobs$iterations, function(itmax) em(job, r$structure, r$prior, itmax, 0)),
    converged = em(job, r$structure, r$prior, jobs$most, jobs$tol)
  ))
}

results <- list(
  mclust = as.character(packageVersion("mclust")),
  R = paste(R.version$major, R.version$minor, sep = "."),
  volumes = lapply(jobs$volumes, hypvol),
  scales = lapply(jobs$scales, function(s) defaultPrior(s$X, G = s$k, modelName = s$structure)$scale),
  cases = lapply(jobs$cases, run)
)
write(toJSON(results, digits = NA, auto_unbox = TRUE, null = "null", na = "null"), arguments[2])
