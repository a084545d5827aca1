"""`fastgmm.select` and mclust's `Mclust` on real tables and simulated families: ``python -m bench.mclust_select``.

Needs `Rscript` with mclust, MASS, cluster, boot, rpart, mlbench, palmerpenguins and sp. Both sides search their default grid, sizes
1 to 9 with all structures, from their own starts, alternated table by table; R's start and reading are not timed. mclust runs on
one thread, `select` on ``--threads``. Printed are, for each table,

- the median time of each side, and the median ratio of rounds, of elapsed times and of CPU times of all threads together;
- the difference of the best BIC to the best of mclust's valid models, and of the cells that both fit the number in which ours is
  worse by more than 2 and mclust's is valid. Valid is what `fastgmm.fitting.degenerate` does not call spurious, by the
  covariances and responsibilities that mclust ends with. How many worse cells are not is printed beside it;
- with known classes, the adjusted Rand index of each side's choice.
"""

from __future__ import annotations

import argparse
import csv
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path
from statistics import mean, median
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

SCRIPT = Path(__file__).with_name("mclust_select.R")
#: Seconds of mclust after which there is one round only.
_LONG = 10.0
#: mclust's names of models of one feature: X is a single component.
_ONE_FEATURE = {"E": "EII", "V": "VII", "X": "EII"}
#: The default of `select`.
_REG_COVAR = 1e-9


class Table(NamedTuple):
    """Samples and, if they are known, classes."""

    X: NDArray
    classes: NDArray | None


def read(path: Path) -> Table:
    with path.open() as file:
        header = next(csv.reader(file))
    values = np.loadtxt(path, delimiter=",", skiprows=1, ndmin=2)
    if header[-1].strip('"') == "class":
        return Table(values[:, :-1], values[:, -1].astype(int))
    return Table(values, None)


def write(folder: Path, name: str, X: NDArray, classes: NDArray | None = None) -> None:
    columns = [f"x{j}" for j in range(X.shape[1])] + ([] if classes is None else ["class"])
    values = X if classes is None else np.c_[X, classes]
    np.savetxt(folder / f"{name}.csv", values, delimiter=",", header=",".join(columns), comments="", fmt="%.17g")


def write_sklearn(folder: Path) -> None:
    from sklearn import datasets

    iris, wine, cancer = datasets.load_iris(), datasets.load_wine(), datasets.load_breast_cancer()
    write(folder, "iris", iris.data, iris.target)
    write(folder, "wine", wine.data[:, :10], wine.target)
    write(folder, "cancer", cancer.data[:, 20:30], cancer.target)
    write(folder, "diabetes", datasets.load_diabetes().data[:, [0, 2, 3, 4, 5, 6, 7, 8, 9]])
    digits = datasets.load_digits()
    centred = digits.data - digits.data.mean(axis=0)
    axes = np.linalg.svd(centred, full_matrices=False)[2][:8]
    write(folder, "digits", (centred @ axes.T)[:1000], digits.target[:1000])


def families() -> dict[str, Any]:
    """Return functions of (rng, n) -> (X, classes): ten families."""

    def normal(means: Any, covariances: Any, shares: Any) -> Any:
        def draw(rng: np.random.Generator, n: int) -> tuple[NDArray, NDArray]:
            labels = rng.choice(len(shares), size=n, p=shares)
            labels[: len(shares)] = np.arange(len(shares))
            X = np.array([rng.multivariate_normal(means[j], covariances[j]) for j in labels])
            return X, labels

        return draw

    def turned(angle: float, a: float, b: float) -> NDArray:
        c, s = np.cos(angle), np.sin(angle)
        return np.array([[c, -s], [s, c]]) * [a, b] @ np.array([[c, s], [-s, c]])

    def heavy(rng: np.random.Generator, n: int) -> tuple[NDArray, NDArray]:
        labels = rng.integers(2, size=n)
        return rng.standard_t(4, size=(n, 3)) + 6.0 * labels[:, None], labels

    def uniform(rng: np.random.Generator, n: int) -> tuple[NDArray, NDArray]:
        return rng.uniform(size=(n, 3)), np.zeros(n, int)

    eye = np.eye
    return {
        "one cluster, d = 2": normal([np.zeros(2)], [eye(2)], [1.0]),
        "one cluster, d = 5": normal([np.zeros(5)], [np.diag(np.geomspace(1, 9, 5))], [1.0]),
        "three spheres": normal([[0, 0], [5, 0], [0, 5]], [eye(2)] * 3, [0.4, 0.3, 0.3]),
        "three, d = 10": normal(
            [np.zeros(10), np.full(10, 2.0), np.r_[np.full(5, 3.0), np.zeros(5)]], [eye(10)] * 3, [0.4, 0.3, 0.3]
        ),
        "two volumes": normal([[0, 0, 0], [3, 3, 3]], [eye(3), 0.1 * eye(3)], [0.6, 0.4]),
        "crossed": normal([[0, 0], [0, 0]], [turned(0.8, 9, 0.3), turned(-0.8, 9, 0.3)], [0.5, 0.5]),
        "parallel": normal([[0, 0], [0, 3]], [np.diag([9.0, 0.3])] * 2, [0.5, 0.5]),
        "rare": normal([np.zeros(4), np.full(4, 6.0)], [eye(4), 0.5 * eye(4)], [0.9, 0.1]),
        "heavy tails": heavy,
        "uniform": uniform,
    }


class Mclust:
    """A process of R that fits tables by name."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.process = subprocess.Popen(
            ["Rscript", str(SCRIPT), str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.version = self.line()

    def line(self) -> str:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError("R ended early")
        return line.strip()

    def fit(self, name: str) -> tuple[float, float, str]:
        assert self.process.stdin is not None
        self.process.stdin.write(name + "\n")
        self.process.stdin.flush()
        seconds, cpu, choice = self.line().split(" ", 2)
        return float(seconds), float(cpu), choice

    def bic(self, name: str) -> dict[tuple[int, str], float]:
        """Return BIC in our sign."""
        found: dict[tuple[int, str], float] = {}
        path = self.folder / f"{name}.bic"
        if path.exists():
            with path.open() as file:
                for row in csv.DictReader(file):
                    k = int(row.pop(""))
                    found |= {(k, key): -float(value) for key, value in row.items() if value != "NA"}
        return found

    def is_valid(self, name: str, X: NDArray, k: int, model: str) -> bool:
        """Return whether a model that mclust fits is not spurious by the rule of `select`."""
        from fastgmm.fitting.degenerate import rule_of
        from fastgmm.kernels.race import AXES, SHARED, VOLUME
        from fastgmm.model.structures import STRUCTURES

        assert self.process.stdin is not None
        self.process.stdin.write(f"{name} {k} {model}\n")
        self.process.stdin.flush()
        if self.line() != "done":
            return False
        values, d = np.loadtxt(self.folder / f"{name}.fit", ndmin=2), X.shape[1]
        held, sigma, own = values[:, 0], *values[:, 1:].reshape(len(values), 2, d, d).swapaxes(0, 1)
        rule = rule_of(STRUCTURES[_ONE_FEATURE.get(model, model)], d, _REG_COVAR)
        covariance = np.atleast_2d(np.cov(X, rowvar=False, bias=True))
        if not rule.turns:
            covariance = np.diag(np.diagonal(covariance))
        white = np.linalg.inv(np.linalg.cholesky(covariance))

        def least(matrices: NDArray, look: int) -> float:
            scaled = white @ matrices @ white.T
            if look == VOLUME:
                return float(np.trace(scaled, axis1=1, axis2=2).min()) / d
            return float(
                np.diagonal(scaled, axis1=1, axis2=2).min() if look == AXES else np.linalg.eigvalsh(scaled).min()
            )

        thin = least(sigma, AXES if rule.look == AXES else -1)
        thin = thin if rule.look == SHARED else min(thin, least(own, rule.look))
        return bool(held.min() >= rule.least and thin > rule.flat)

    def groups(self, name: str) -> NDArray:
        path = self.folder / f"{name}.groups"
        return np.loadtxt(path, dtype=int) if path.exists() else np.zeros(0, int)


class Line(NamedTuple):
    name: str
    n: int
    d: int
    theirs: float
    ours: float
    ratio: float
    cpu: float
    their_choice: str
    our_choice: str
    gap: float
    cells: int
    worse: int
    spurious: int
    their_ari: float
    our_ari: float


def compare(name: str, table: Table, r: Mclust, rounds: int, threads: int, options: dict[str, Any]) -> Line:
    from sklearn.metrics import adjusted_rand_score

    import fastgmm

    X, theirs = table.X, 0.0
    times: list[tuple[float, float]] = []
    cpu: list[float] = []
    for _ in range(rounds):
        if times and theirs > _LONG:  # another round would tell nothing new
            break
        theirs, their_cpu, choice = r.fit(name)
        begin, begin_cpu = time.perf_counter(), time.process_time()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = fastgmm.select(X, random_state=0, n_threads=threads, **options)
        cpu.append((time.process_time() - begin_cpu) / max(their_cpu, 1e-3))
        times.append((theirs, time.perf_counter() - begin))
    bic = r.bic(name)
    pairs = {}
    for i, k in enumerate(found.n_components):
        for j, key in enumerate(found.covariance_types):
            if (k, key) in bic and np.isfinite(found.bic[i, j]):
                pairs[k, key] = (found.bic[i, j], bic[k, key])
    cells = [cell for cell, (ours, theirs) in pairs.items() if ours - theirs > 2.0]
    worse = sum(r.is_valid(name, X, *cell) for cell in cells)
    best = next((bic[cell] for cell in sorted(bic, key=lambda cell: bic[cell]) if r.is_valid(name, X, *cell)), np.inf)
    gap = float(np.nanmin(found.bic)) - best
    their_ari = our_ari = float("nan")
    if table.classes is not None:
        groups = r.groups(name)
        their_ari = float(adjusted_rand_score(table.classes, groups)) if len(groups) else 0.0
        our_ari = float(adjusted_rand_score(table.classes, found.best_model.predict(X)))
    ours = f"{found.best_covariance_type} {found.best_n_components}"
    return Line(
        name,
        len(X),
        X.shape[1],
        median(t for t, _ in times),
        median(u for _, u in times),
        median(u / t for t, u in times),
        median(cpu),
        choice,
        ours,
        gap,
        len(pairs),
        worse,
        len(cells) - worse,
        their_ari,
        our_ari,
    )


def report(lines: list[Line]) -> None:
    print(
        f"{'table':22} {'n':>5} {'d':>3} {'mclust s':>9} {'ours s':>8} {'ratio':>6} {'CPU':>6}  {'mclust':8} {'ours':8} "
        f"{'BIC gap':>8} {'cells':>5} {'worse':>5} {'spur.':>5} {'ARI':>6} {'ours':>6}"
    )
    for one in lines:
        print(
            f"{one.name:22} {one.n:5} {one.d:3} {one.theirs:9.3f} {one.ours:8.3f} {one.ratio:6.2f} {one.cpu:6.2f}  "
            f"{one.their_choice:8} {one.our_choice:8} {one.gap:8.2f} {one.cells:5} {one.worse:5} {one.spurious:5} "
            f"{one.their_ari:6.3f} {one.our_ari:6.3f}"
        )
    known = [one for one in lines if one.our_ari == one.our_ari]
    cells = sum(one.cells for one in lines)
    print(
        f"ratio of times: median {median(one.ratio for one in lines):.3f}, most {max(one.ratio for one in lines):.3f}, "
        f"of CPU times {median(one.cpu for one in lines):.3f} and {max(one.cpu for one in lines):.3f}; "
        f"best BIC worse than mclust's best valid one by {max(one.gap for one in lines):.2f} at most; of {cells} cells "
        f"{sum(one.worse for one in lines)} worse by more than 2, and {sum(one.spurious for one in lines)} of spurious ones"
    )
    if known:
        print(
            f"adjusted Rand index, {len(known)} tables: mclust {mean(one.their_ari for one in known):.4f}, ours "
            f"{mean(one.our_ari for one in known):.4f}; worse by more than 0.05: "
            + ", ".join(one.name for one in known if one.our_ari < one.their_ari - 0.05)
        )


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--only", default="", help="names of tables, separated by commas")
    parser.add_argument(
        "--simulated", type=int, default=0, metavar="N", help="simulated data sets of each family and size instead"
    )
    parser.add_argument("--folder", type=Path, default=None)
    asked = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as temporary:
        folder = asked.folder or Path(temporary)
        folder.mkdir(exist_ok=True)
        r = Mclust(folder)
        write_sklearn(folder)
        names = sorted(path.stem for path in folder.glob("*.csv"))
        print(f"mclust {r.version}, {asked.threads} threads, {asked.rounds} rounds")
        import fastgmm

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            fastgmm.select(read(folder / "iris.csv").X, n_threads=asked.threads)  # compiles
            fastgmm.select(read(folder / "acidity.csv").X, n_threads=asked.threads)
        if asked.simulated:
            simulate(folder, r, asked.simulated, asked.threads)
            return
        if asked.only:
            names = asked.only.split(",")
        lines = []
        for name in names:
            lines.append(compare(name, read(folder / f"{name}.csv"), r, asked.rounds, asked.threads, {}))
            print(f"\r{name:40}", end="", file=sys.stderr, flush=True)
        report(lines)


def simulate(folder: Path, r: Mclust, repeats: int, threads: int) -> None:
    """Print the mean adjusted Rand index of each family and size, and that of mclust."""
    every = []
    for family, draw in families().items():
        for n in (30, 60, 120, 250, 500):
            found = []
            for seed in range(repeats):
                X, classes = draw(np.random.default_rng([seed, n]), n)
                write(folder, "simulated", X, classes)
                found.append(compare("simulated", Table(X, classes), r, 1, threads, {}))
            every += found
            print(
                f"{family:20} n = {n:4}: mclust {mean(one.their_ari for one in found):.3f}, "
                f"ours {mean(one.our_ari for one in found):.3f}; BIC gap at most {max(one.gap for one in found):.2f}; "
                f"ratio of times {median(one.ratio for one in found):.2f}"
                f"  {' '.join(one.their_choice.replace(' ', '') + '/' + one.our_choice.replace(' ', '') for one in found[:4])}"
            )
    print(f"all: mclust {mean(one.their_ari for one in every):.4f}, ours {mean(one.our_ari for one in every):.4f}")


if __name__ == "__main__":
    main()
