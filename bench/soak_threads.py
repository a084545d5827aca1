"""Python threads that fit, predict, search and go on at once, on one threading layer: ``python -m bench.soak_threads``.

Each of the threads does the same jobs in an order of its own, over and over, until the time is up: float32 and float64, all
layouts, kinds of start and structures, from memory and in chunks. Nothing is compiled or started beforehand, so that all meet
at the first call. Then every job is done once more, alone: every result has to have its bits. One process per layer; one that
is not installed is told (``pip install tbb`` for tbb).
"""

from __future__ import annotations

import argparse
import faulthandler
import hashlib
import json
import os
import subprocess
import sys
import threading
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Callable
from typing import Any

LAYERS = ("omp", "tbb", "workqueue")
#: How a process says that its layer is not installed.
MISSING = 77
#: What compiling all the kernels may take on a slow and busy machine, in seconds.
_START = 540


def _digest(*arrays: Any) -> str:
    import numpy as np

    digest = hashlib.sha256()
    for array in arrays:
        array = np.asarray(array)
        digest.update(repr((array.dtype.str, array.shape)).encode() + array.tobytes())
    return digest.hexdigest()


def jobs() -> dict[str, Callable[[], str]]:
    """Calls by name, each of which returns a digest of all that it came to. A name that begins with "fit" makes one fit."""
    import numpy as np

    import fastgmm
    from fastgmm import GaussianMixture
    from fastgmm.datasets import load_iris, make_mixture

    large = np.ascontiguousarray(make_mixture(20_000, 6, 4, random_state=0).X)
    some = np.ascontiguousarray(make_mixture(3_000, 3, 3, random_state=1).X)
    iris = load_iris().data

    def fitted(X: Any, k: int, **options: Any) -> GaussianMixture:
        batch_size = options.pop("batch_size", None)
        sample_weight = options.pop("sample_weight", None)
        model = GaussianMixture(k, random_state=3, max_iter=8, tol=0.0, **options)
        return model.fit(X, sample_weight=sample_weight, batch_size=batch_size)

    def fit(X: Any, k: int, **options: Any) -> Callable[[], str]:
        def run() -> str:
            model = fitted(X, k, **options)
            return _digest(model.weights_, model.means_, model.covariances_, model.lower_bounds_)

        return run

    def predict(X: Any) -> str:
        model = known[X.dtype.name]
        return _digest(model.predict(X), model.predict_proba(X), model.score_samples(X), model.bic(X), model.icl(X))

    def gone_on() -> str:
        model = GaussianMixture(3, random_state=0)
        for start in range(0, 3000, 500):
            model.partial_fit(some[start : start + 500])
        return _digest(model.means_, model.covariances_, model.lower_bounds_)

    def failed() -> str:
        try:
            GaussianMixture(2, reg_covar=0.0, n_threads=1, random_state=0).fit(
                np.repeat([[0.0, 1.0], [1.0, 0.0]], 5, axis=0)
            )
        except ValueError as error:
            return str(error)
        raise AssertionError("a fit of two points did not fail")

    def search() -> str:
        found = fastgmm.select(iris, n_components=[1, 2], covariance_types=["EEE", "VVI", "VVV", "EVE"], random_state=0)
        return _digest(found.bic, found.icl)

    weights = np.random.default_rng(0).uniform(0.5, 2.0, size=len(some))
    rng = np.random.default_rng(1)
    w, means = np.full(4, 0.25), rng.normal(size=(4, 6))
    known = {
        name: GaussianMixture.from_parameters(w, means, np.array([np.eye(6) * (1 + i) for i in range(4)]))
        for name in ("float64", "float32")
    }
    small32, large32 = some.astype(np.float32), large.astype(np.float32)
    table: dict[str, Callable[[], str]] = {
        f"fit {layout} {X.dtype} {len(X)}": fit(X, 3, covariance_type=layout)
        for layout in ("full", "tied", "diag", "spherical")
        for X in (large, large32, iris)
    }
    table |= {
        f"fit from {kind}": fit(some, 3, init_params=kind)
        for kind in ("k-means++", "random", "random_from_data", "whitened", "hierarchical", "em-em")
    }
    table |= {f"fit {name}": fit(some, 3, covariance_type=name) for name in ("VEI", "EVE", "VEV", "EEV")}
    return table | {
        "fit on one thread": fit(large, 4, n_threads=1),
        "fit on two threads": fit(large, 4, n_threads=2),
        "fit of weighted samples": fit(some, 3, sample_weight=weights),
        "fit of chunks": fit(fastgmm.chunks([large[:7_000], large[7_000:]]), 4),
        "fit of batches": fit(small32, 3, batch_size=700),
        "fit of several starts": fit(some, 3, n_init=3),
        "fit that fails": failed,
        "predict float64": lambda: predict(large),
        "predict float32": lambda: predict(large32),
        "partial_fit": gone_on,
        "select": search,
    }


class Soak:
    """Threads that do jobs until the time is up; what they came to, by job."""

    def __init__(self, table: dict[str, Callable[[], str]], n_threads: int, seconds: float) -> None:
        self.table, self.seconds = table, seconds
        self.results: dict[str, set[str]] = {name: set() for name in table}
        self.done: Counter[str] = Counter()
        self.errors: list[str] = []
        self._lock = threading.Lock()
        self._ready = threading.Barrier(n_threads)
        self._threads = [threading.Thread(target=self._work, args=(i,)) for i in range(n_threads)]

    def run(self) -> None:
        """Begin, and wait for all threads."""
        for thread in self._threads:
            thread.start()
        for thread in self._threads:
            thread.join()

    def _work(self, number: int) -> None:
        import numba
        import numpy as np

        rng = np.random.default_rng(number)
        names = list(self.table)
        try:
            self._ready.wait()
            before = numba.get_num_threads()
            end = time.monotonic() + self.seconds
            while True:
                for name in rng.permutation(names):
                    result = self.table[name]()
                    assert numba.get_num_threads() == before, f"{name} left {numba.get_num_threads()} threads set"
                    with self._lock:
                        self.done[name] += 1
                        self.results[name].add(result)
                    if time.monotonic() > end:
                        return
        except BaseException:
            with self._lock:
                self.errors.append(traceback.format_exc())

    def differing(self) -> list[str]:
        """Names of jobs of which some result has not the bits of the job alone."""
        return [name for name, found in self.results.items() if found and found != {self.table[name]()}]


def soak(seconds: float, n_threads: int) -> int:
    """One layer, that of ``NUMBA_THREADING_LAYER``; prints a line of JSON."""
    # a deadlock ends with the frames of all threads on standard error, and a status that is not 0
    faulthandler.dump_traceback_later(seconds + _START, exit=True)
    warnings.simplefilter("ignore")
    import numba

    try:
        numba.get_num_threads()  # starts the layer's threads
        layer = numba.threading_layer()
    except ValueError as error:
        if "threading layer" not in str(error):
            raise
        print(error, file=sys.stderr)
        return MISSING
    threads = Soak(jobs(), n_threads, seconds)
    threads.run()
    differing = threads.differing()
    fits = sum(count for name, count in threads.done.items() if name.startswith("fit"))
    told = {"layer": layer, "threads": n_threads, "seconds": seconds, "fits": fits, "calls": threads.done.total()}
    told |= {"jobs": sum(map(bool, threads.results.values())), "differing": differing, "errors": threads.errors}
    print(json.dumps(told))
    return 1 if differing or threads.errors else 0


def environment(layer: str) -> dict[str, str]:
    """Of a process on a layer. TBB that pip installed lies beside Python, where the loader does not look."""
    places = [os.path.join(sys.prefix, "lib"), *filter(None, [os.environ.get("LD_LIBRARY_PATH")])]
    found = {"LD_LIBRARY_PATH": os.pathsep.join(places)} if layer == "tbb" else {}
    return {**os.environ, "NUMBA_THREADING_LAYER": layer, **found}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=60.0, help="for each layer (default: 60)")
    parser.add_argument("--threads", type=int, default=8, help="Python threads (default: 8)")
    parser.add_argument("--layers", nargs="+", choices=LAYERS, default=list(LAYERS))
    parser.add_argument("--here", action="store_true", help="in this process, on the layer that Numba is set to")
    options = parser.parse_args()
    if options.here:
        return soak(options.seconds, options.threads)
    status = 0
    for layer in options.layers:
        command = [sys.executable, "-m", "bench.soak_threads", "--here"]
        command += ["--seconds", str(options.seconds), "--threads", str(options.threads)]
        done = subprocess.run(command, env=environment(layer), text=True, capture_output=True)
        if done.returncode == MISSING:
            print(f"{layer}: not installed")
            continue
        if done.returncode or not done.stdout:
            status = 1
            print(f"{layer}: FAILED with status {done.returncode}\n{done.stdout}{done.stderr}")
            continue
        told = json.loads(done.stdout)
        counts = f"{told['fits']} fits, {told['calls']} calls in {told['seconds']:g} s"
        print(f"{layer}: {counts}, of {told['jobs']} jobs, all bits equal", flush=True)
    return status


if __name__ == "__main__":
    sys.exit(main())
