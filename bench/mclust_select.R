# R's side of `mclust_select.py`: Rscript bench/mclust_select.R FOLDER
#
# Writes R's own tables into FOLDER as NAME.csv, a header and numbers, the last column the class if it is called "class". Then,
# for each line NAME of the standard input, fits Mclust with its defaults to NAME.csv, writes its BIC (mclust's sign, rows are sizes)
# to NAME.bic and its classification to NAME.groups, and prints the seconds and the CPU seconds that the call took. For a line
# NAME SIZE MODEL it writes of that model, one row for each component, what it holds, its covariance and that of its own samples to
# NAME.fit. Ends with the input.
suppressPackageStartupMessages(library(mclust))
folder <- commandArgs(trailingOnly = TRUE)[1]

table_of <- function(name, package, columns, class = NULL) {
  frame <- get(data(list = name, package = package, envir = environment()), envir = environment())
  columns <- names(frame)[columns]
  kept <- stats::complete.cases(frame[, c(columns, class), drop = FALSE])
  frame <- frame[kept, , drop = FALSE]
  out <- as.data.frame(lapply(frame[, columns, drop = FALSE], as.numeric))
  if (!is.null(class)) out$class <- as.integer(interaction(frame[, class, drop = FALSE], drop = TRUE))
  utils::write.csv(out, file.path(folder, paste0(name, ".csv")), row.names = FALSE)
}
specified <- list(
  list("faithful", "datasets", 1:2), list("swiss", "datasets", 1:6), list("rock", "datasets", 1:4),
  list("quakes", "datasets", 1:5), list("USArrests", "datasets", 1:4), list("LifeCycleSavings", "datasets", 1:5),
  list("cars", "datasets", 1:2), list("airquality", "datasets", 1:4, "Month"), list("attenu", "datasets", 4:5),
  list("chickwts", "datasets", 1, "feed"), list("ToothGrowth", "datasets", c(1, 3), "supp"),
  list("InsectSprays", "datasets", 1, "spray"), list("warpbreaks", "datasets", 1, "tension"),
  list("crabs", "MASS", 4:8, c("sp", "sex")), list("fgl", "MASS", 1:9, "type"), list("Pima.tr", "MASS", 1:7, "type"),
  list("Pima.te", "MASS", 1:7, "type"), list("biopsy", "MASS", 2:10, "class"), list("geyser", "MASS", 1:2),
  list("synth.tr", "MASS", 1:2, "yc"), list("Boston", "MASS", c(1, 3, 5:8, 10:13)), list("birthwt", "MASS", 2:3, "low"),
  list("UScereal", "MASS", 2:9, "mfr"), list("Cars93", "MASS", c(5, 7, 12:14, 17, 19:22), "Type"),
  list("hills", "MASS", 1:3), list("cats", "MASS", 2:3, "Sex"), list("stormer", "MASS", 1:3),
  list("ruspini", "cluster", 1:2), list("pluton", "cluster", 1:4), list("urine", "boot", 2:7, "r"),
  list("kyphosis", "rpart", 2:4, "Kyphosis"), list("car.test.frame", "rpart", c(1, 4, 6:8), "Type"),
  list("PimaIndiansDiabetes", "mlbench", 1:8, "diabetes"), list("Glass", "mlbench", 1:9, "Type"),
  list("Ionosphere", "mlbench", c(3:12), "Class"), list("Vehicle", "mlbench", 1:10, "Class"),
  list("BreastCancer", "mlbench", 2:10, "Class"), list("Sonar", "mlbench", 10:17, "Class"),
  list("penguins", "palmerpenguins", 3:6, "species"), list("meuse", "sp", 3:6, "ffreq"),
  list("banknote", "mclust", 2:7, "Status"), list("thyroid", "mclust", 2:6, "Diagnosis"),
  list("acidity", "mclust", 1)
)
for (one in specified) {
  if (one[[1]] == "acidity") {
    data("acidity", package = "mclust")
    utils::write.csv(data.frame(x = acidity), file.path(folder, "acidity.csv"), row.names = FALSE)
  } else {
    do.call(table_of, one)
  }
}
data("diabetes", package = "mclust")
utils::write.csv(cbind(diabetes[, 2:4], class = as.integer(diabetes$class)), file.path(folder, "reaven.csv"), row.names = FALSE)
data("wdbc", package = "mclust")
utils::write.csv(cbind(wdbc[, 3:12], class = as.integer(as.factor(wdbc$Diagnosis))), file.path(folder, "wdbc.csv"), row.names = FALSE)
cat(as.character(packageVersion("mclust")), "\n")
flush(stdout())

one_model <- function(X, name, size, model) {
  set.seed(0)
  fit <- try(Mclust(X, G = size, modelNames = model, verbose = FALSE), silent = TRUE)
  if (inherits(fit, "try-error") || is.null(fit)) return("failed")
  z <- if (is.null(fit$z)) matrix(1, nrow(X), 1) else fit$z
  rows <- t(sapply(seq_len(ncol(z)), function(j) {
    held <- sum(z[, j])
    apart <- sweep(X, 2, colSums(z[, j] * X) / held)
    variance <- fit$parameters$variance
    sigma <- if (ncol(X) == 1) variance$sigmasq[min(j, length(variance$sigmasq))] else variance$sigma[, , j]
    c(held, sigma, crossprod(apart, z[, j] * apart) / held)
  }))
  utils::write.table(format(rows, digits = 17), file.path(folder, paste0(name, ".fit")), row.names = FALSE, col.names = FALSE, quote = FALSE)
  "done"
}

input <- file("stdin", "r")
while (length(line <- readLines(input, n = 1)) > 0) {
  words <- strsplit(line, " ")[[1]]
  name <- words[1]
  frame <- utils::read.csv(file.path(folder, paste0(name, ".csv")))
  frame$class <- NULL
  X <- as.matrix(frame)
  if (length(words) == 3) {
    cat(one_model(X, name, as.integer(words[2]), words[3]), "\n")
    flush(stdout())
    next
  }
  set.seed(0)
  spent <- system.time(model <- try(Mclust(X, verbose = FALSE), silent = TRUE))
  seconds <- paste(spent[["elapsed"]], spent[["user.self"]] + spent[["sys.self"]])
  if (inherits(model, "try-error") || is.null(model)) {
    cat(seconds, "failed\n")
  } else {
    bic <- model$BIC
    out <- matrix(as.numeric(bic), nrow(bic), dimnames = list(rownames(bic), colnames(bic)))
    utils::write.csv(out, file.path(folder, paste0(name, ".bic")))
    writeLines(as.character(model$classification), file.path(folder, paste0(name, ".groups")))
    cat(seconds, model$modelName, model$G, "\n")
  }
  flush(stdout())
}
