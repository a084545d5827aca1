# Search of mclust for `select_grid.py`: Rscript bench/mclust.R SAMPLES n d LARGEST
#
# SAMPLES: float64, column by column. Prints seconds, structure, components, BIC (mclust's sign), cells that failed, versions.
suppressPackageStartupMessages(library(mclust))
arguments <- commandArgs(trailingOnly = TRUE)
n <- as.integer(arguments[2])
d <- as.integer(arguments[3])
X <- matrix(readBin(arguments[1], "double", n * d), n, d)
set.seed(0) # beyond 2000 samples the hierarchical start is of some drawn at random
seconds <- system.time(bic <- mclustBIC(X, G = seq_len(as.integer(arguments[4])), verbose = FALSE))[["elapsed"]]
at <- which(bic == max(bic, na.rm = TRUE), arr.ind = TRUE)[1, ]
versions <- paste0(packageVersion("mclust"), ", R ", R.version$major, ".", R.version$minor)
cat(seconds, colnames(bic)[at[2]], rownames(bic)[at[1]], format(max(bic, na.rm = TRUE), digits = 15), sum(is.na(bic)), versions, sep = "\n")
