"""Errors of densities, responsibilities and an EM step against 50-digit arithmetic: ``python -m bench.accuracy``.

Hard mixtures, the same in every run: condition numbers up to 1e12, data up to 1e8 standard deviations from the origin, components
1e-3 to 1e6 standard deviations apart, weights down to 1e-300, up to 200 features, components of hardly more samples than features.

What can be asked of a program is said by the input, whose numbers were rounded: *allowed* is by how much the exact result changes
where each number of the input (samples, weights, means, covariances), and each weighted log-density on the way to
responsibilities, is moved by one in its last place, up or down at random; the largest change in a few such draws, and one in the
last place of the result. It is taken for each number of a result, and errors are in multiples of it. Errors of log-densities and
log-likelihoods are relative where these are beyond 1, those of responsibilities and weights relative, of means and
covariances in standard deviations and products of two.
"""

from __future__ import annotations

import argparse
import sys
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from bench import environment, exact
from bench.exact import Mixture, Wobble, mp
from bench.sides import importable

QUANTITIES = ("log-density", "responsibilities", "log-likelihood", "weights", "means", "covariances")
#: What is added to variances: too little to change one, enough for a component that holds nothing to have a covariance.
NOTHING = 1e-200
Results = dict[str, NDArray]


class Case(NamedTuple):
    """A mixture and samples of it. Lengths are in standard deviations, along the axes of the covariances."""

    name: str
    structure: str
    d: int = 4
    k: int = 3
    n: int = 60
    condition: float = 10.0
    offset: float = 0.0
    separation: float = 3.0
    small_weight: float | None = None
    dtype: str = "float64"
    n_draws: int = 20
    seed: int = 0

    @property
    def layout(self) -> str:
        return {"EII": "spherical", "EEI": "diag", "EVI": "diag", "EEV": "full", "EVV": "full"}.get(
            self.structure, self.structure
        )

    def mixture(self) -> Mixture:
        rng = np.random.default_rng([self.d, self.k, self.n, self.seed])
        d, k = self.d, self.k
        axes = np.linalg.qr(rng.normal(size=(d, d)))[0] if self.layout in ("full", "tied") else np.eye(d)
        spectrum = np.geomspace(1.0, 1.0 / self.condition, d) if self.layout != "spherical" else np.ones(d)
        vary = self.layout != "tied"
        spectra = [spectrum * rng.uniform(0.5, 2.0, size=d if self.layout != "spherical" else 1) for _ in range(k)]
        spectra = spectra if vary else spectra[:1] * k
        roots = [axes * np.sqrt(values) for values in spectra]
        away = rng.normal(size=(k, d))
        away *= self.separation / np.linalg.norm(away, axis=1)[:, None]
        means = self.offset + np.stack([root @ step for root, step in zip(roots, away, strict=True)])
        of = np.arange(self.n) % k
        z = rng.normal(size=(self.n, d))
        X = np.stack([means[c] + roots[c] @ row for c, row in zip(of, z, strict=True)]).astype(self.dtype)
        weights = np.full(k, 1.0 / k)
        if self.small_weight is not None:
            weights = np.append(np.full(k - 1, 1.0 / (k - 1)), self.small_weight)
        return Mixture(self.layout, X, weights, means, self._covariances(axes, spectra))

    def _covariances(self, axes: NDArray, spectra: list[NDArray]) -> NDArray:
        if self.layout == "spherical":
            return np.array([values[0] for values in spectra])
        if self.layout == "diag":
            return np.stack(spectra)
        matrices = np.stack([axes * values @ axes.T for values in spectra])
        matrices = (matrices + np.swapaxes(matrices, 1, 2)) / 2
        return matrices if self.layout == "full" else matrices[0]


def cases() -> list[Case]:
    """All of them, the quick ones first."""
    found = []
    for layout in ("full", "tied", "diag", "spherical"):
        found += [Case("plain", layout), Case("one feature", layout, d=1, condition=1)]
        if layout != "spherical":
            found += [Case(f"condition 1e{e}", layout, condition=10.0**e) for e in (4, 8, 12)]
        found += [Case(f"offset 1e{e}", layout, offset=10.0**e) for e in (2, 4, 6, 8)]
        found += [Case(f"separation 1e{e}", layout, separation=10.0**e) for e in (-3, 1, 2, 4, 6)]
        found += [Case(f"weight 1e-{e}", layout, small_weight=10.0**-e) for e in (20, 300)]
        found += [Case("condition 1e6, offset 1e4", layout, condition=1e6, offset=1e4)]
        found += [Case("few samples", layout, d=20, n=66, separation=30.0)]
        found += [Case("d = 30", layout, d=30, n=100, condition=1e6, offset=100.0)]
        found += [
            Case("plain", layout, dtype="float32"),
            Case("condition 1e4", layout, condition=1e4, dtype="float32"),
            Case("offset 1e3", layout, offset=1e3, dtype="float32"),
            Case("separation 1e3", layout, separation=1e3, dtype="float32"),
            Case("weight 1e-30", layout, small_weight=1e-30, dtype="float32"),
            Case("d = 30", layout, d=30, n=100, dtype="float32"),
        ]
    for structure in ("EII", "EEI", "EVI", "EEV", "EVV"):
        found += [
            Case("plain", structure),
            Case("condition 1e8", structure, condition=1e8),
            Case("offset 1e6", structure, offset=1e6),
            Case("separation 1e4", structure, separation=1e4),
        ]
    found += [Case("d = 200", layout, d=200, n=100, k=2, condition=1e4) for layout in ("diag", "spherical")]
    found += [Case("d = 100", layout, d=100, n=206, k=2, condition=1e8, n_draws=10) for layout in ("full", "tied")]
    found += [Case("d = 200", "full", d=200, n=406, k=2, separation=20, condition=1e4, offset=10.0, n_draws=10)]
    return found


# --- the sides: a mixture -> quantities, those that they know ---


def fastgmm_results(case: Case, mixture: Mixture) -> Iterator[Results]:
    import fastgmm

    arguments = (mixture.X, mixture.weights, mixture.means, mixture.covariances)
    kind: dict[str, Any] = {"covariance_type": case.layout}
    yield {
        "log-density": fastgmm.log_density(mixture.X, *arguments[2:], **kind),
        "responsibilities": fastgmm.responsibilities(*arguments, **kind),
        "log-likelihood": fastgmm.log_prob(*arguments, **kind),
    }
    step = fastgmm.em_step(*arguments, covariance_type=case.structure, reg_covar=NOTHING)
    yield _parameters(*step[:3])
    if case.structure == case.layout:  # the compiled loop over small data has an M-step of its own
        from fastgmm.data.source import ArraySource
        from fastgmm.em import loop
        from fastgmm.em.step import MaximumLikelihood
        from fastgmm.em.stop import Stop
        from fastgmm.model.checks import check_parameters
        from fastgmm.model.layouts import layout_named
        from fastgmm.model.structures import STRUCTURES

        source, params = ArraySource(mixture.X), check_parameters(*arguments[1:], layout_named(case.layout))
        step = MaximumLikelihood(STRUCTURES[case.structure], NOTHING)
        after = loop.run(source, params, step, Stop(0.0, 1)).params
        yield _parameters(after.weights, after.means, after.covariances)


def sklearn_results(case: Case, mixture: Mixture) -> Iterator[Results]:
    """Its own E- and M-step, from the covariances: a precision in its place would have been rounded already."""
    from sklearn.mixture import GaussianMixture
    from sklearn.mixture._gaussian_mixture import _compute_precision_cholesky

    if case.structure != case.layout:
        return
    model = GaussianMixture(case.k, covariance_type=case.layout, reg_covar=NOTHING)
    weights, means, covariances = (np.asarray(a, case.dtype) for a in mixture[2:])
    model.weights_, model.means_, model.covariances_ = weights, means, covariances
    with np.errstate(all="ignore"):
        model.precisions_cholesky_ = _compute_precision_cholesky(covariances, case.layout)
        log_prob, log_resp = model._estimate_log_prob_resp(mixture.X)
        yield {
            "log-density": model._estimate_log_prob(mixture.X),
            "responsibilities": np.exp(log_resp),
            "log-likelihood": log_prob,
        }
        with suppress(ValueError):  # of the factors; the covariances are there before
            model._m_step(mixture.X, log_resp)
        yield _parameters(model.weights_, model.means_, model.covariances_)


def daal4py_results(case: Case, mixture: Mixture) -> Iterator[Results]:
    import daal4py

    if case.structure not in ("full", "diag"):
        return
    algorithm = daal4py.em_gmm(
        nComponents=case.k,
        fptype={"float32": "float", "float64": "double"}[case.dtype],
        maxIterations=1,
        accuracyThreshold=0.0,
        covarianceStorage={"full": "full", "diag": "diagonal"}[case.structure],
        regularizationFactor=0.0,
    )
    matrices = [np.atleast_2d(matrix) for matrix in mixture.covariances]
    result = algorithm.compute(mixture.X, mixture.weights[np.newaxis], mixture.means, matrices)
    yield _parameters(result.weights[0], result.means, np.reshape(result.covariances, mixture.covariances.shape))


def scipy_results(case: Case, mixture: Mixture) -> Iterator[Results]:
    from scipy.stats import multivariate_normal

    if case.dtype != "float64":
        return
    d = case.d
    matrices = {
        "full": lambda c: mixture.covariances[c],
        "tied": lambda c: mixture.covariances,
        "diag": lambda c: np.diag(mixture.covariances[c]),
        "spherical": lambda c: mixture.covariances[c] * np.eye(d),
    }[case.layout]
    columns = [multivariate_normal.logpdf(mixture.X, mixture.means[c], matrices(c)) for c in range(case.k)]
    yield {"log-density": np.stack(columns, axis=1)}


def _parameters(weights: NDArray, means: NDArray, covariances: NDArray) -> Results:
    return dict(zip(QUANTITIES[3:], (weights, means, covariances), strict=True))


SIDES: dict[str, Callable[[Case, Mixture], Iterator[Results]]] = {
    "fastgmm": fastgmm_results,
    "scikit-learn": sklearn_results,
    "oneDAL": daal4py_results,
    "SciPy": scipy_results,
}


# --- errors ---


class Error(NamedTuple):
    """Largest error of a quantity, and its largest multiple of what is allowed."""

    size: float
    multiple: float


class Row(NamedTuple):
    """A quantity of a case: the largest that is allowed, and the sides' errors. One that failed is left out."""

    case: Case
    quantity: str
    allowed: float
    errors: Mapping[str, Error]


class Reference(NamedTuple):
    """Exact values, the errors that are allowed, and what they are in units of."""

    values: Results
    allowed: Results
    scale: Results


def _computed(case: Case, mixture: Mixture, wobble: Wobble) -> Results:
    taken = exact.taken(mixture, wobble)
    e_step = exact.densities(taken, wobble)
    m_step = exact.step(taken, e_step.resp, case.structure)
    return dict(zip(QUANTITIES, (*e_step, *m_step), strict=True))


def reference(case: Case, mixture: Mixture) -> Reference:
    values = _computed(case, mixture, Wobble())
    eps = float(np.finfo(case.dtype).eps)
    allowed = {name: abs(value) * eps for name, value in values.items()}
    changes = {name: abs(value) * 0 for name, value in values.items()}
    for seed in range(case.n_draws):
        moved = _computed(case, mixture, Wobble(eps, seed))
        changes = {name: np.maximum(changes[name], abs(moved[name] - values[name])) for name in values}
    return Reference(values, {name: allowed[name] + changes[name] for name in values}, _scales(case, values))


def _scales(case: Case, values: Results) -> Results:
    scale = {name: np.maximum(abs(values[name]), mp.mpf(1)) for name in ("log-density", "log-likelihood")}
    scale |= {name: abs(values[name]) for name in ("responsibilities", "weights")}
    covariances = values["covariances"]
    if case.layout in ("full", "tied"):
        covariances = np.diagonal(covariances, axis1=-2, axis2=-1)
    deviations = exact.roots(abs(covariances))
    columns = deviations[:, None] if case.layout == "spherical" else deviations
    scale["means"] = np.broadcast_to(columns, values["means"].shape)
    if case.layout in ("full", "tied"):
        scale["covariances"] = deviations[..., :, None] * deviations[..., None, :]
    else:
        scale["covariances"] = covariances
    return scale


def error(case: Case, quantity: str, got: NDArray, known: Reference) -> Error:
    values, allowed, scale = (each[quantity] for each in known)
    if quantity in QUANTITIES[3:]:
        # of a component that holds less than a sample nothing is estimated: EM may leave it where it is
        held = known.values["weights"] * len(known.values["log-likelihood"]) >= 1
        if len(held) == len(values) and not (quantity == "covariances" and case.layout == "tied"):
            got, values, allowed, scale = got[held], values[held], allowed[held], scale[held]
    if quantity == "responsibilities":
        # below the normal numbers all that is asked for is that it is no normal number either
        tiny = float(np.finfo(case.dtype).tiny)
        below = values < tiny
        if not ((got[below] >= 0) & (got[below] <= tiny)).all():
            return Error(np.inf, np.inf)
        got, values, allowed, scale = got[~below], values[~below], allowed[~below], scale[~below]
    if not np.isfinite(got).all():
        return Error(np.inf, np.inf)
    wrong = abs(exact.floats(got.astype(np.float64)) - values)
    return Error(float((wrong / scale).max()), float((wrong / allowed).max()))


def measure(case: Case, sides: Iterable[str]) -> list[Row]:
    """Errors of all sides in a case."""
    mixture = case.mixture()
    known = reference(case, mixture)
    errors: dict[str, dict[str, Error]] = {name: {} for name in QUANTITIES}
    for side in sides:
        try:
            for results in SIDES[side](case, mixture):
                for name, got in results.items():
                    found, before = error(case, name, np.asarray(got), known), errors[name].get(side, Error(0.0, 0.0))
                    errors[name][side] = Error(max(found.size, before.size), max(found.multiple, before.multiple))
        except (ValueError, RuntimeError, np.linalg.LinAlgError) as reason:
            warnings.warn(f"{side} failed at {case.name}, {case.structure}: {reason}", stacklevel=1)
    return [Row(case, name, _largest(known, name), errors[name]) for name in QUANTITIES]


def _largest(known: Reference, name: str) -> float:
    scale = known.scale[name]
    return float((known.allowed[name] / np.where(scale == 0, mp.mpf(1), scale)).max())


# --- the table ---


def _cell(found: Error | None) -> str:
    if found is None:
        return ""
    return "not finite" if np.isinf(found.multiple) else f"{found.size:.1e} ({found.multiple:.2g})"


def table(rows: Iterable[Row], sides: Iterable[str]) -> list[str]:
    """Lines of a markdown table."""
    sides = list(sides)
    lines = [f"| quantity | case | allowed | {' | '.join(sides)} |", "|" + "---|" * (3 + len(sides))]
    for row in rows:
        case = row.case
        where = f"{case.structure}, {case.name}" + (", float32" if case.dtype == "float32" else "")
        cells = [row.quantity, where, f"{row.allowed:.1e}", *(_cell(row.errors.get(side)) for side in sides)]
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--all", action="store_true", help="print every line, not the worst of each quantity only")
    parser.add_argument(
        "--worst",
        type=int,
        default=2,
        help="lines for each quantity: fastgmm's worst, and then the worst of each other side",
    )
    parser.add_argument("--most-features", type=int, default=200, help="leave out cases of more")
    parser.add_argument(
        "--seeds",
        type=int,
        default=10,
        help="mixtures that are drawn of each case where fastgmm is the worst side, for a median",
    )
    options = parser.parse_args()
    packages = {"scikit-learn": "sklearn", "oneDAL": "daal4py", "SciPy": "scipy"}
    there, _ = importable(packages.values())
    sides = ["fastgmm", *(side for side, package in packages.items() if package in there)]
    rows = [row for case in cases() if case.d <= options.most_features for row in measure(case, sides)]

    shown = rows if options.all else [row for name in QUANTITIES for row in worst(rows, name, sides, options.worst)]
    print("\n".join(table(shown, sides)))
    print(f"\n{len(rows)} lines. Largest multiple of what is allowed, by side:")
    for side in sides:
        multiples = [row.errors[side].multiple for row in rows if side in row.errors]
        beyond = sum(m > 10 for m in multiples)
        print(f"- {side}: {max(multiples):.3g}; beyond 10: {beyond} of {len(multiples)}")
    losses = [row for row in rows if _is_worst(row)]
    print(f"fastgmm is the worst side, and beyond what is allowed, in {len(losses)} lines.")
    if losses:
        print("\n".join(table(losses, sides)))
        again = [_median(row, sides, options.seeds) for row in losses]
        worst_again = sum(_is_worst(row) for row in again)
        print(f"\nThese lines in the median of {options.seeds} mixtures, where it is the worst side in {worst_again}:")
        print("\n".join(table(again, sides)))


def _median(row: Row, sides: Iterable[str], seeds: int) -> Row:
    """The same line in the median of several mixtures: a rounding falls well or badly by chance, a method does not."""
    rows = [
        other
        for seed in range(seeds)
        for other in measure(row.case._replace(seed=seed), sides)
        if other.quantity == row.quantity
    ]
    found = {}
    for side in row.errors:
        size, multiple = np.median([r.errors[side] for r in rows if side in r.errors], axis=0)
        found[side] = Error(float(size), float(multiple))
    return Row(row.case, row.quantity, float(np.median([r.allowed for r in rows])), found)


def worst(rows: Iterable[Row], quantity: str, sides: Iterable[str], count: int) -> list[Row]:
    """The worst lines of a quantity: so many of fastgmm's, and then the worst of each other side that has one."""
    lines = [row for row in rows if row.quantity == quantity]
    found = sorted(lines, key=_multiple, reverse=True)[:count]
    for side in sides:
        known = [row for row in lines if side in row.errors]
        line = max(known, key=lambda row: row.errors[side].multiple, default=None)
        if line is not None and line not in found:
            found.append(line)
    return found


def _multiple(row: Row) -> float:
    """fastgmm's error in multiples of what is allowed."""
    return row.errors["fastgmm"].multiple if "fastgmm" in row.errors else np.inf


def _is_worst(row: Row) -> bool:
    ours = _multiple(row)
    others = [found.multiple for side, found in row.errors.items() if side != "fastgmm"]
    return bool(others) and ours > max(1.0, *others)


if __name__ == "__main__":
    sys.exit(environment.command(main))
