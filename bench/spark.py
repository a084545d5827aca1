"""EM on partitions: one process, a Dask cluster, and Spark's MLlib, on the same machine: ``python -m bench.spark``.

Sides, on the same samples, with the same number of EM iterations (``tol=0``):

- ``fastgmm``: `fit` of the array, in this process, on Numba's threads
- ``fastgmm on Dask``: `fit` of a `dask.array` that lies in the memory of the workers of a `LocalCluster`, processes with a
  thread each
- ``Spark``: `fit` of `pyspark.ml.clustering.GaussianMixture` on ``local[workers]``, of a data frame cached in memory in as
  many partitions as the Dask array has. Needs the package pyspark and Java; left out, and said so, where they are missing

Whole fits are timed, checks included. The first two start from the same parameters; Spark cannot be given any: it draws
samples and starts from their means and variances, in a time that is part of its fit. So likelihoods are equal (and checked)
for the first two and only reported for Spark. Sides alternate; a ratio is taken in each round, then the median
(`bench.compare`).

Of Dask's own world there is nothing to compare with: dask-ml (2025.1) has no Gaussian mixture, nor any other EM.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from importlib import metadata
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from bench import environment
from bench.cases import Case, Problem
from bench.compare import alternate, collect, ratio
from bench.provenance import provenance
from bench.sides import Outcome, fastgmm_fit, mean_log_likelihood
from bench.table import lines

DASK, SPARK = "fastgmm on Dask", "Spark"
Fit = Callable[[], Outcome]


@contextmanager
def dask_side(problem: Problem, workers: int, partitions: int) -> Iterator[Fit]:
    """Fit on a cluster of processes with a thread each, which hold the samples."""
    import dask.array as da
    from distributed import Client, LocalCluster

    options: dict[str, Any] = {"processes": True, "threads_per_worker": 1, "dashboard_address": ":0"}
    with LocalCluster(n_workers=workers, **options) as cluster, Client(cluster) as client:
        n, d = problem.X.shape
        X = client.persist(da.from_array(problem.X, chunks=(-(-n // partitions), d)))
        client.wait_for_workers(workers)
        yield lambda: fastgmm_fit(problem._replace(X=X))


@contextmanager
def spark_side(problem: Problem, workers: int, partitions: int) -> Iterator[Fit]:
    """MLlib's fit in a Java virtual machine with so many threads, which holds the samples."""
    import pyarrow as pa
    from pyarrow import parquet
    from pyspark.ml.clustering import GaussianMixture
    from pyspark.ml.feature import VectorAssembler
    from pyspark.sql import SparkSession

    names = [f"x{i}" for i in range(problem.X.shape[1])]
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        builder = SparkSession.builder.master(f"local[{workers}]").config("spark.ui.enabled", "false")
        spark = (
            builder.config("spark.driver.memory", "4g").config("spark.ui.showConsoleProgress", "false").getOrCreate()
        )
        stack.callback(spark.stop)
        # by a file, which Java reads itself: from Python each row would be sent as an object
        file = Path(folder) / "samples.parquet"
        parquet.write_table(pa.table(dict(zip(names, problem.X.T, strict=True))), file)
        vectors = VectorAssembler(inputCols=names, outputCol="features").transform(spark.read.parquet(str(file)))
        frame = vectors.select("features").repartition(partitions).cache()
        frame.count()
        estimator = GaussianMixture(k=problem.case.k, tol=0.0, maxIter=problem.case.n_iter, seed=1)

        def fit() -> Outcome:
            model = estimator.fit(frame)
            summary = model.summary
            bound = summary.logLikelihood / len(problem.X)  # of the parameters that entered the last iteration
            gaussians = model.gaussians
            means = np.array([g.mean.toArray() for g in gaussians])
            covariances = np.array([g.cov.toArray() for g in gaussians])
            return Outcome(summary.numIter, [bound], np.array(model.weights), means, covariances)

        yield fit


def missing(side: Callable) -> str | None:
    """Why a side cannot take part; None where it can."""
    import shutil
    from importlib.util import find_spec

    packages = {dask_side: ("dask", "distributed"), spark_side: ("pyspark", "pyarrow")}[side]
    absent = [name for name in packages if find_spec(name) is None]
    if absent:
        return f"pip install {' '.join(absent)}"
    return "Java is not installed" if side is spark_side and shutil.which("java") is None else None


def compare(problem: Problem, workers: int, partitions: int, rounds: int) -> dict[str, Any]:
    """Times of all sides that can take part, after a check that they do equal work."""
    outcomes: dict[str, Outcome] = {}
    left_out: dict[str, str] = {}
    with ExitStack() as stack:
        fits: dict[str, Fit] = {"fastgmm": lambda: fastgmm_fit(problem)}
        for name, side in ((DASK, dask_side), (SPARK, spark_side)):
            reason = missing(side)
            if reason is None:
                fits[name] = stack.enter_context(side(problem, workers, partitions))
            else:
                left_out[name] = reason
        for name, fit in fits.items():  # warm-up, too: code is compiled, by each worker and by Java
            outcomes[name] = fit()
        _assert_equal_work(problem, outcomes)
        times = collect(alternate(fits), least=rounds, most=rounds, seconds=0.0)
    return {
        "rounds": times,
        "left_out": left_out,
        "sides": {
            name: {
                "seconds_per_iteration": median(t[name] for t in times) / problem.case.n_iter,
                "ratio": ratio(times, name)._asdict(),
                "bound_of_last_iteration": outcome.bounds[-1],
                "mean_log_likelihood": mean_log_likelihood(problem, outcome),
            }
            for name, outcome in outcomes.items()
        },
    }


def _assert_equal_work(problem: Problem, outcomes: dict[str, Outcome]) -> None:
    """As many iterations everywhere, and from the same start the same likelihoods."""
    for name, outcome in outcomes.items():
        if outcome.n_iter != problem.case.n_iter:
            raise RuntimeError(f"{name} made {outcome.n_iter} iterations instead of {problem.case.n_iter}")
    if DASK in outcomes:
        np.testing.assert_allclose(outcomes[DASK].bounds, outcomes["fastgmm"].bounds, rtol=1e-10)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.spark", description=__doc__.partition("\n")[0])
    parser.add_argument("--samples", type=int, default=1_000_000)
    parser.add_argument("--features", type=int, default=8)
    parser.add_argument("--components", type=int, default=8)
    parser.add_argument("--iterations", type=int, default=10)
    parser.add_argument("--workers", type=int, default=2, help="of Dask, and threads of Spark")
    parser.add_argument("--partitions", type=int, default=4, help="of the Dask array and of Spark's data frame")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--output", type=Path, help="a file for the figures, as JSON")
    options = parser.parse_args(arguments)
    for name in ("samples", "features", "components", "iterations", "workers", "partitions", "rounds"):
        if getattr(options, name) < 1:
            parser.error(f"--{name} is {getattr(options, name)}; it must be at least 1")
    case = Case(
        "spark", options.samples, options.features, options.components, "full", n_iter=options.iterations, start="truth"
    )
    found = compare(case.problem(quick=False), options.workers, options.partitions, options.rounds)
    for name, reason in found["left_out"].items():
        print(f"{name} is left out: {reason}", file=sys.stderr)
    print(f"{case.label}, {case.n_iter} iterations, {options.rounds} rounds, {options.workers} workers")
    print(f"BLAS kernel {environment.kernel()}")
    rows = [
        [
            name,
            f"{1e3 * side['seconds_per_iteration']:.4g}",
            f"{side['ratio']['median']:.3g} ({side['ratio']['low']:.3g}-{side['ratio']['high']:.3g})",
            f"{side['bound_of_last_iteration']:.6f}",
            f"{side['mean_log_likelihood']:.6f}",
        ]
        for name, side in found["sides"].items()
    ]
    print("\n".join(lines(["side", "ms/iteration", "x fastgmm", "bound of the last", "mean log-likelihood"], rows)))
    if options.output is not None:
        packages = {name: _version(name) for name in ("dask", "distributed", "pyspark")}
        options.output.write_text(
            json.dumps({**found, "case": case.label, **provenance(), **packages}, indent=1) + "\n"
        )
    return 0


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "not installed"


if __name__ == "__main__":
    sys.exit(environment.command(main))
