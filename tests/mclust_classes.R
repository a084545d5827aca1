# Discriminant analysis and bootstrap by mclust, for `mclust_classes.py`: Rscript mclust_classes.R JOBS.json RESULTS.json
#
# JOBS: data sets (X, labels 1..k) and structures of EDDA; numbers of bootstrap replicates.
suppressPackageStartupMessages({
  library(mclust)
  library(jsonlite)
})
arguments <- commandArgs(trailingOnly = TRUE)
jobs <- fromJSON(arguments[1], simplifyVector = TRUE, simplifyMatrix = TRUE, simplifyDataFrame = FALSE)

described <- function(found, X, y) {
  predicted <- predict(found, X)
  list(
    loglik = found$loglik, df = found$df, bic = found$bic,
    error = mean(as.integer(as.character(predicted$classification)) != y),
    z = predicted$z[seq(1, nrow(X), by = jobs$every), ],
    classes = lapply(found$models, function(m) list(
      name = m$modelName, g = m$G, mean = m$parameters$mean, pro = m$parameters$pro
    ))
  )
}

run <- function(job) {
  X <- as.matrix(job$X)
  edda <- lapply(setNames(nm = job$edda), function(name)
    described(MclustDA(X, job$labels, modelType = "EDDA", modelNames = name, verbose = FALSE), X, job$labels))
  best <- MclustDA(X, job$labels, modelType = "EDDA", verbose = FALSE)
  chosen <- MclustDA(X, job$labels, verbose = FALSE)
  list(edda = edda, best = best$models[[1]]$modelName, chosen = described(chosen, X, job$labels))
}

# Standard errors of the weighted likelihood bootstrap, of data that mclust brings
set.seed(1)
data(acidity)
two <- Mclust(acidity, G = 2, modelNames = "E", verbose = FALSE)
errors <- summary(MclustBootstrap(two, nboot = jobs$resamples, type = "wlbs", verbose = FALSE), what = "se")
# Tests of components of Old Faithful
tests <- mclustBootstrapLRT(faithful, modelName = "EEE", maxG = 2, nboot = jobs$tested, verbose = FALSE)

results <- list(
  acidity = list(
    X = as.vector(acidity), pro = two$parameters$pro, mean = as.vector(two$parameters$mean),
    variance = two$parameters$variance$sigmasq,
    se = list(pro = as.vector(errors$pro), mean = as.vector(errors$mean), variance = as.vector(errors$variance)[1])
  ),
  tests = list(statistics = as.vector(tests$obs), p = as.vector(tests$p.value)),
  mclust = as.character(packageVersion("mclust")),
  R = paste(R.version$major, R.version$minor, sep = "."),
  cases = lapply(jobs$cases, run)
)
write(toJSON(results, digits = NA, auto_unbox = TRUE, null = "null", na = "null"), arguments[2])
