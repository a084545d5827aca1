"""With priors and with noise: the same start, the same iterations, the same likelihood as R's mclust (`mclust_beyond.py`)."""

from __future__ import annotations

import mclust_beyond as reference
import numpy as np
import pytest
from numpy.testing import assert_allclose

from fastgmm import GaussianMixture, NormalInverseWishart
from fastgmm.data.source import ArraySource
from fastgmm.fitting.prior import completed
from fastgmm.init.noise import noise_of
from fastgmm.model.structures import STRUCTURES

FILE = reference.load()
JOBS = reference.jobs()
RUNS = [(name, i) for name, (_, runs) in JOBS.items() for i in range(len(runs))]
#: EM with a common orientation has several stationary points: it may come to a better one.
PATH_DEPENDENT = ("EVE", "VVE")


def fit(name: str, i: int, max_iter: int, tol: float) -> GaussianMixture:
    """EM from the M-step of the labels, without regularisation; those of noise begin as noise."""
    case, runs = JOBS[name]
    structure, given = runs[i]
    noise = case.labels < 0
    groups = case.labels[~noise]
    model = GaussianMixture(
        case.n_components,
        covariance_type=structure,
        reg_covar=0.0,
        tol=tol,
        max_iter=max_iter,
        prior=None if given is None else NormalInverseWishart(**given),
    )
    if not noise.any():
        return model.set_params(init_params=groups).fit(case.X)
    # the M-step of the groups, as parameters: labels do not know noise
    start = GaussianMixture(**model.get_params() | {"init_params": groups, "max_iter": 0})
    if given is not None:
        start.set_params(
            prior=completed(NormalInverseWishart(**given), ArraySource(case.X), STRUCTURES[structure], 2, None)
        )
    start.fit(case.X[~noise])
    supplied = {"weights_init": start.weights_, "means_init": start.means_, "precisions_init": start.precisions_}
    return model.set_params(noise=noise, **supplied).fit(case.X)


@pytest.mark.filterwarnings("ignore::fastgmm.ConvergenceWarning")
@pytest.mark.parametrize(("name", "i"), RUNS)
def test_likelihoods_on_the_way_are_mclust_s(name, i):
    case, runs = JOBS[name]
    cell = FILE["cases"][name]["runs"][i]
    assert_allclose(case.fingerprint, FILE["cases"][name]["fingerprint"], rtol=1e-12)
    assert (cell["structure"], cell["prior"]) == runs[i]
    if cell["structure"] in PATH_DEPENDENT:
        return
    for n_iter, expected in zip(reference.ITERATIONS, cell["loglik"], strict=True):
        # mclust's is that of the parameters that enter the last iteration's E-step: those after one M-step less
        model = fit(name, i, n_iter - 1, 0.0)
        assert model.score(case.X) * len(case.X) == pytest.approx(expected, rel=1e-9), n_iter


@pytest.mark.parametrize(("name", "i"), RUNS)
def test_the_optimum_is_mclust_s(name, i):
    case, _ = JOBS[name]
    cell = FILE["cases"][name]["runs"][i]
    model = fit(name, i, 20_000, 1e-13)
    found, better = model.score(case.X) * len(case.X), cell["structure"] in PATH_DEPENDENT
    assert found >= cell["converged"] - 1e-7 * abs(cell["converged"])
    assert better or found == pytest.approx(cell["converged"], rel=1e-7)
    assert model._n_parameters() == cell["n_parameters"]
    weights = np.append(model.weights_, model.noise_.weight) if hasattr(model, "noise_") else model.weights_
    assert better or np.abs(weights - cell["weights"]).max() < 1e-4
    assert (np.diff(model.lower_bounds_) >= -1e-12).all()


@pytest.mark.parametrize("name", reference.volumes())
def test_volumes_are_mclust_s(name):
    volume = noise_of(ArraySource(reference.volumes()[name]), None).volume
    assert volume == pytest.approx(FILE["volumes"][name], rel=1e-10)
    assert volume == pytest.approx({"iris": 27.2412, "faithful": 131.8688}.get(name, volume), rel=1e-5)


def test_default_scales_are_mclust_s(iris):
    for name, expected in FILE["scales"].items():
        scale = completed(NormalInverseWishart(), ArraySource(iris), STRUCTURES[name], 3, None).scale
        assert_allclose(scale, expected if np.ndim(expected) else expected * np.eye(4), rtol=1e-10)


#: mclust's BIC of iris with its default prior, from its own starts (published and computed, its sign): VVV with 1 to 4 components.
IRIS = (-831.4949, -592.5128, -605.8695, -664.9314)


def test_select_is_no_worse_than_mclust_on_iris(iris):
    from fastgmm import select

    found = select(iris, range(1, 5), ["VVV"], prior="default", tol=1e-8, random_state=0)
    assert found.bic[0, 0] == pytest.approx(-IRIS[0], abs=1e-3)
    assert (found.bic[:, 0] <= np.negative(IRIS) + 1e-2).all()
    assert found.n_parameters[2, 0] == 44


def test_the_published_mode_of_iris(iris):
    model = GaussianMixture(3, prior="default", reg_covar=0.0, tol=1e-10, max_iter=1000, random_state=0).fit(iris)
    assert model.score(iris) * 150 == pytest.approx(-192.7008, abs=0.01)
    assert_allclose(np.sort(model.weights_), [0.31403, 0.33333, 0.35264], atol=1e-3)
