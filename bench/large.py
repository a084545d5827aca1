"""A file larger than the memory that a process may have: ``python -m bench.large --gigabytes 8 --limit 1``.

Writes a .npy file of samples of a mixture (kept with --file), fits it in a process whose address space is limited
(``ulimit -v``), and prints what that took, and how much memory was the process's own and how much was the file's.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import warnings
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
from numpy.lib import format as npy_format

from bench import environment

ROWS = 1 << 20
N_FEATURES, N_COMPONENTS = 10, 16


def write(path: Path, gigabytes: float) -> int:
    """Write a .npy file of about that size, block by block; return the number of samples."""
    rng = np.random.default_rng(0)
    means = 6.0 * rng.normal(size=(N_COMPONENTS, N_FEATURES))
    n = max(1, int(gigabytes * 2**30 / (8 * N_FEATURES)))
    with open(path, "wb") as file:
        header = {"descr": "<f8", "fortran_order": False, "shape": (n, N_FEATURES)}
        npy_format.write_array_header_1_0(file, header)
        for start in range(0, n, ROWS):
            m = min(ROWS, n - start)
            block = means[rng.integers(N_COMPONENTS, size=m)] + rng.normal(size=(m, N_FEATURES))
            file.write(block.data)
    return n


def fit(path: str, iterations: int, limit: float) -> dict[str, Any]:
    """Fit the file under a limit of the address space, in GiB beyond what the process has; in a process of its own."""
    from fastgmm import GaussianMixture
    from fastgmm.datasets import make_mixture

    warnings.filterwarnings("ignore", message=".*did not converge")
    model = GaussianMixture(N_COMPONENTS, tol=0.0, max_iter=iterations, random_state=0)
    model.fit(make_mixture(20_000, N_FEATURES, N_COMPONENTS, random_state=0).X)  # compiles, starts threads
    before = _status()
    if limit:
        # the file is several times as large: a mapping of it would be refused
        bytes_allowed = before["VmSize"] + int(limit * 2**30)
        resource.setrlimit(resource.RLIMIT_AS, (bytes_allowed, bytes_allowed))
    begin = perf_counter()
    model.fit(path)
    seconds = perf_counter() - begin
    after = _status()
    return {
        "seconds": seconds,
        "lower_bounds": model.lower_bounds_,
        "own_memory_before_mb": before["RssAnon"] / 2**20,
        "own_memory_after_mb": after["RssAnon"] / 2**20,
        "peak_resident_mb": after["VmHWM"] / 2**20,
        "resident_before_mb": before["VmRSS"] / 2**20,
    }


def _status() -> dict[str, int]:
    fields = (line.split() for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines())
    return {words[0].rstrip(":"): int(words[1]) * 1024 for words in fields if len(words) == 3 and words[2] == "kB"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gigabytes", type=float, default=8.0)
    parser.add_argument("--limit", type=float, default=1.0, help="GiB of address space for the fit; 0: none")
    parser.add_argument("--iterations", type=int, default=3)
    parser.add_argument("--file", type=Path, help="where the data are, or are written to and kept")
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        print(json.dumps(fit(str(options.file), options.iterations, options.limit)))
        return
    with tempfile.TemporaryDirectory() as folder:
        path = options.file or Path(folder) / "large.npy"
        if not path.exists():
            n = write(path, options.gigabytes)
            print(f"wrote {path}: {n} x {N_FEATURES}, {path.stat().st_size / 2**30:.1f} GiB")
        arguments = ["--file", str(path), "--limit", str(options.limit), "--iterations", str(options.iterations)]
        command = [sys.executable, "-m", "bench.large", "--child", *arguments]
        done = subprocess.run(command, env=dict(os.environ), capture_output=True, text=True, check=False)
        if done.returncode:
            sys.exit(f"the fit failed:\n{done.stderr}")
        found = json.loads(done.stdout.splitlines()[-1])
        size = path.stat().st_size / 2**30
        passes = options.iterations + 2  # one that checks, one that draws the sample for the start
        print(
            f"{size:.1f} GiB under {options.limit:g} GiB of address space: {found['seconds']:.1f} s for {options.iterations} "
            f"iterations and {passes - options.iterations} passes before them ({size * passes / found['seconds']:.2f} GiB/s)\n"
            f"resident at most {found['peak_resident_mb']:.0f} MB, {found['resident_before_mb']:.0f} of them before; of these "
            f"the process's own (no file's) {found['own_memory_after_mb']:.0f} and {found['own_memory_before_mb']:.0f}\n"
            f"mean log-likelihoods {found['lower_bounds']}"
        )


if __name__ == "__main__":
    sys.exit(environment.command(main))
