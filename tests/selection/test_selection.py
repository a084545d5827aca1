"""The search over sizes and structures: published values, what cells owe to each other, and cells that have no fit."""

from __future__ import annotations

import itertools
import math
import re

import mclust_reference
import numpy as np
import pandas as pd
import pytest

import fastgmm
from fastgmm import GaussianMixture, Selection, _compat, select, selection
from fastgmm.data.source import ArraySource
from fastgmm.datasets import make_mixture
from fastgmm.em import evaluate
from fastgmm.fitting.degenerate import least_in_all, least_samples
from fastgmm.functional import sufficient_statistics
from fastgmm.model.cholesky import NotPositiveDefinite
from fastgmm.model.collinear import collinear, described
from fastgmm.model.layouts import DIAG, FULL, SPHERICAL, TIED, layout_named
from fastgmm.model.params import Params
from fastgmm.model.structures import MCLUST_NAMES, STRUCTURES, maximise
from fastgmm.selection import selector
from fastgmm.selection.races import Races

# BIC of Old Faithful with 1 to 3 components, mclust 5 and 6, in the sign of scikit-learn
# fmt: off
FAITHFUL = np.array([
    4024.721, 4024.721, 3055.835, 3055.835, 3055.835, 3055.835, 2607.623,
    2607.623, 2607.623, 2607.623, 2607.623, 2607.623, 2607.623, 2607.623,
    3452.998, 3458.305, 2354.601, 2350.607, 2352.618, 2346.065, 2325.220,
    2322.972, 2324.273, 2320.433, 2329.115, 2325.416, 2327.598, 2322.192,
    3377.701, 3336.598, 2323.014, 2332.687, 2332.205, 2342.366, 2314.316,
    2322.103, 2342.319, 2336.271, 2325.322, 2329.648, 2339.983, 2349.696,
]).reshape(3, 14)
# fmt: on
IRIS_1 = [1804.0854] * 2 + [1522.1202] * 4 + [829.9782] * 8


@pytest.fixture(scope="module")
def of_faithful(faithful) -> Selection:
    return select(faithful, random_state=0)


@pytest.fixture(scope="module")
def of_iris(iris) -> Selection:
    return select(iris, range(1, 6), random_state=0)


@pytest.fixture
def small_sample(monkeypatch):
    """More than 1500 samples are many."""
    monkeypatch.setattr(selector, "_LARGE", 1500)
    monkeypatch.setattr(selector, "_SAMPLE", 700)


# --- values ---


def test_faithful_is_as_published_or_better(of_faithful):
    assert of_faithful.n_components == tuple(range(1, 10))
    assert of_faithful.covariance_types == MCLUST_NAMES
    np.testing.assert_allclose(of_faithful.bic[0], FAITHFUL[0], atol=1e-3)
    assert (of_faithful.bic[1:3] <= FAITHFUL[1:] + 1e-3).all()
    assert (of_faithful.best_covariance_type, of_faithful.best_n_components) == ("EEE", 3)
    assert of_faithful.bic.min() == pytest.approx(2314.3, abs=0.05)
    assert not of_faithful.reasons
    assert of_faithful.converged.all()


def test_iris_is_as_published(of_iris):
    np.testing.assert_allclose(of_iris.bic[0], IRIS_1, atol=1e-4)
    assert (of_iris.best_covariance_type, of_iris.best_n_components) == ("VEV", 2)
    assert of_iris.bic.min() == pytest.approx(561.7285, abs=1e-3)


@pytest.mark.parametrize("seed", [1, 2, np.random.default_rng(3)])
def test_small_data_do_not_depend_on_the_seed(of_iris, iris, seed):
    again = select(iris, range(1, 6), ["EEE", "VEV"], random_state=seed)
    first = select(iris, range(1, 6), ["EEE", "VEV"], random_state=0)
    np.testing.assert_array_equal(again.bic, first.bic)
    assert again.best_covariance_type == "VEV"


@pytest.mark.parametrize("found", ["of_faithful", "of_iris"])
def test_richer_structures_are_never_less_likely(found, request):
    found = request.getfixturevalue(found)
    pairs = [
        (a, b)
        for a, b in itertools.permutations(MCLUST_NAMES, 2)
        if STRUCTURES[b].contains(STRUCTURES[a]) and sum(x != y for x, y in zip(a, b, strict=True)) == 1
    ]
    assert len(pairs) == 29
    for a, b in pairs:
        simple, rich = (found.log_likelihood[:, MCLUST_NAMES.index(name)] for name in (a, b))
        # the M-step's regularisation may cost what it adds to variances
        assert (rich >= simple - 1e-4).all(), (a, b)


def test_more_components_are_more_likely(of_faithful):
    assert (np.diff(of_faithful.log_likelihood, axis=0) > 0).all()


def test_criteria_are_those_of_the_models(of_faithful, faithful):
    for k, name in [(1, "EII"), (3, "EEE"), (2, "VVV"), (4, "EVI")]:
        i, j = k - 1, MCLUST_NAMES.index(name)
        model = of_faithful.model(k, name)
        resp = model.predict_proba(faithful)
        log_likelihood = model.score_samples(faithful).sum()
        n_parameters = STRUCTURES[name].n_parameters(k, 2)
        bic = -2 * log_likelihood + n_parameters * math.log(272)
        assert of_faithful.log_likelihood[i, j] == pytest.approx(log_likelihood, rel=1e-12)
        assert of_faithful.n_parameters[i, j] == n_parameters
        assert of_faithful.bic[i, j] == pytest.approx(bic, rel=1e-12)
        assert of_faithful.bic[i, j] == pytest.approx(model.bic(faithful), rel=1e-12)
        assert of_faithful.aic[i, j] == pytest.approx(model.aic(faithful), rel=1e-12)
        icl = bic - 2 * np.log(resp.max(axis=1)).sum()
        assert of_faithful.icl[i, j] == pytest.approx(icl, rel=1e-10)
        assert model.icl(faithful) == pytest.approx(icl, rel=1e-10)
        with np.errstate(divide="ignore", invalid="ignore"):
            entropy = -np.where(resp > 0, resp * np.log(resp), 0.0).sum()
        assert of_faithful.entropy[i, j] == pytest.approx(entropy, rel=1e-8, abs=1e-12)


def test_icl_is_that_of_mclust(faithful):
    """mclust 6.0.0, ``Mclust(faithful, G=3, modelNames="EEE")``: its parameters, bic and icl."""
    weights = [0.16567839905644066, 0.35636962651330778, 0.47795197443025117]
    means = [
        [3.7930655292303186, 77.521051332351348],
        [2.0375963146129594, 54.491157600821957],
        [4.4632447198396026, 80.833438776323248],
    ]
    covariance = [[0.078254480991346784, 0.4801978534671843], [0.4801978534671843, 33.767146396097132]]
    model = GaussianMixture.from_parameters(weights, means, covariance, covariance_type="EEE")
    assert model.bic(faithful) == pytest.approx(2314.3162956657766, abs=0.01)  # one step before its parameters
    assert model.icl(faithful) == pytest.approx(2357.824248954817, abs=0.1)


@pytest.mark.parametrize("criterion", ["icl", "aic"])
def test_other_criteria_choose_by_themselves(faithful, criterion):
    found = select(faithful, range(1, 5), ["EEE", "VVV"], criterion)
    i, j = np.unravel_index(getattr(found, criterion).argmin(), (4, 2))
    assert (found.best_n_components, found.best_covariance_type) == (i + 1, ("EEE", "VVV")[j])
    assert (found.best_n_components, found.best_covariance_type) != (3, "EEE")
    assert repr(found).startswith(criterion.upper())


# --- data of all kinds ---


def test_bits_do_not_depend_on_threads_nor_on_the_kind_of_source(tmp_path, small_sample):
    X = make_mixture(3000, 3, 3, random_state=2).X
    np.save(tmp_path / "x.npy", X)
    found = [
        select(data, [2, 3], ["VEI", "EEE", "VVV"], random_state=5, n_threads=n)
        for data, n in [(X, 1), (X, 2), (tmp_path / "x.npy", 2), (fastgmm.chunks([X[:1700], X[1700:]]), 1)]
    ]
    for other in found[1:]:
        for name in ("bic", "icl", "aic", "log_likelihood", "entropy"):
            np.testing.assert_array_equal(getattr(other, name), getattr(found[0], name))
        np.testing.assert_array_equal(other.best_model.means_, found[0].best_model.means_)


def test_large_data_begin_from_a_sample(small_sample):
    mixture = make_mixture(4000, 3, 3, separation=8, random_state=1)
    types = ["EII", "VVI", "EEE", "VEE", "VVV"]
    found = select(mixture.X, range(1, 5), types, random_state=0)
    assert found.best_n_components == 3
    assert not found.reasons
    direct = GaussianMixture(3, covariance_type="VVV", init_params="hierarchical", tol=1e-6, random_state=0)
    assert found.bic[2, -1] <= direct.fit(mixture.X).bic(mixture.X) + 0.5
    np.testing.assert_array_equal(select(mixture.X, range(1, 5), types, random_state=0).bic, found.bic)


def test_a_model_that_fails_on_the_sample_is_tried_on_all(small_sample):
    rng = np.random.default_rng(0)
    # of 12 samples far away too few come into the sample for a covariance of their own
    X = rng.permutation(np.concatenate([rng.normal(size=(2988, 4)), 50 + rng.normal(size=(12, 4))]))
    found = select(X, [1, 2], ["VVV"], random_state=0)
    assert sorted(np.bincount(found.model(2, "VVV").predict(X))) == [12, 2988]


def test_weights_count_samples(faithful):
    weights = np.random.default_rng(0).integers(0, 4, len(faithful))
    found = select(faithful, [1, 2], ["EEI", "VVV"], sample_weight=weights)
    repeated = select(np.repeat(faithful, weights, axis=0), [1, 2], ["EEI", "VVV"])
    for name in ("bic", "icl", "aic", "entropy"):
        np.testing.assert_allclose(getattr(found, name), getattr(repeated, name), rtol=1e-4, atol=0.02)


def test_one_feature(faithful):
    found = select(faithful[:, :1], range(1, 4))
    assert found.covariance_types == ("E", "V")
    assert found.best_n_components > 1
    assert (found.log_likelihood[:, 1] >= found.log_likelihood[:, 0] - 1e-6).all()


def test_float32(faithful):
    found = select(faithful.astype(np.float32), [1, 3], ["EEE"])
    assert found.best_model.means_.dtype == np.float32
    assert found.bic[1, 0] == pytest.approx(2314.3, abs=0.1)


def test_dask(faithful):
    dask = pytest.importorskip("dask")
    array = pytest.importorskip("dask.array").from_array(faithful, chunks=(100, 2))
    with dask.config.set(scheduler="synchronous"):
        found = select(array, [1, 3], ["EEE", "VVI"])
    here = select(faithful, [1, 3], ["EEE", "VVI"])
    np.testing.assert_allclose(found.bic, here.bic, rtol=1e-6)
    np.testing.assert_allclose(found.icl, here.icl, rtol=1e-4)


@pytest.mark.parametrize("init_params", ["kmeans", "k-means++", "random", "random_from_data", "whitened", "em-em"])
def test_other_starts(iris, init_params):
    found = select(iris, [1, 2], ["VVI", "VEV"], init_params=init_params, n_init=2, random_state=0)
    again = select(iris, [1, 2], ["VVI", "VEV"], init_params=init_params, n_init=2, random_state=0)
    assert found.bic[1, 1] == pytest.approx(561.7285, abs=0.01)
    np.testing.assert_array_equal(found.bic, again.bic)


@pytest.mark.parametrize("layout", ["full", "tied", "diag", "spherical"])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_classified(layout, dtype):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(1500, 3)).astype(dtype)
    X[0] = 40.0  # far from all: some shares are 0
    weights = rng.uniform(0.5, 2.0, 1500)
    full = np.array([np.eye(3), 0.01 * np.eye(3)])
    covariances = {"full": full, "tied": full[0], "diag": full[:, 0], "spherical": full[:, 0, 0]}[layout]
    if layout == "diag":
        covariances = np.array([np.ones(3), np.full(3, 0.01)])
    model = GaussianMixture.from_parameters([0.6, 0.4], [[0, 0, 0], [1, 0, 0]], covariances, covariance_type=layout)
    source = ArraySource.weighted(X, weights)
    sums = evaluate.classified(source, model._params(), 1).times(source.weight_unit)
    resp = model.predict_proba(X).astype(np.float64)
    rtol = 1e-4 if dtype == np.float32 else 1e-9
    assert sums.log_likelihood == pytest.approx(weights @ model.score_samples(X).astype(np.float64), rel=rtol)
    assert sums.classification == pytest.approx(weights @ np.log(resp.max(axis=1)), rel=rtol)
    with np.errstate(divide="ignore", invalid="ignore"):
        each = np.where(resp > 0, resp * np.log(resp), 0.0).sum(axis=1)
    assert sums.entropy == pytest.approx(-weights @ each, rel=rtol)


# --- what has no fit ---


def spiked(n=60):
    """Of two clusters one has a dozen samples of the same second value."""
    rng = np.random.default_rng(0)
    X = np.concatenate([rng.normal(size=(n, 2)), [5, 0] + rng.normal(size=(n, 2))])
    X[:12, 1] = 0.25
    return X


def test_a_component_on_equal_samples_never_wins():
    X = spiked()
    labels = np.repeat([2, 0, 1], [12, 48, 60])
    trap = GaussianMixture(3, init_params=labels, tol=1e-6).fit(X)
    assert np.linalg.eigvalsh(trap.covariances_).min() == pytest.approx(1e-6, rel=0.1)
    found = select(X, range(1, 5), random_state=0)
    assert found.best_n_components == 2
    assert trap.bic(X) < found.bic[1].min() - 20
    for k, name in itertools.product(range(2, 5), ["VVI", "VEV", "EVV", "VVV"]):
        if (k, name) not in found.reasons:
            assert np.linalg.eigvalsh(found.model(k, name)._params().in_layout(FULL).covariances).min() > 1e-5


@pytest.mark.parametrize("reg_covar", [1e-6, 0.0])
@pytest.mark.parametrize("name", ["VVV", "VEV", "EVI", "VII"])
def test_a_cell_that_is_all_traps_has_a_reason(name, reg_covar):
    # each of three points thrice more, moved along one line only: enough distinct samples, but none vary across it
    points = np.repeat([[0.0, 0.0], [50.0, 1.0], [20.0, 70.0]], 4, axis=0)
    X = np.repeat(points + np.outer(np.tile([0.0, 1e-7, 2e-7, 3e-7], 3), [1.0, 0.0]), 3, axis=0)
    with pytest.warns(UserWarning, match="None of the 1 models of two components or more could be fitted"):
        found = select(X, [1, 3], [name], reg_covar=reg_covar)
    assert np.isnan(found.bic[1, 0])
    reason = found.reasons[3, name]
    assert re.search(
        r"component \d holds 12 of 36 samples|the covariance that all components share is singular", reason
    ), reason
    assert np.isfinite(found.bic[0, 0])
    assert found.best_n_components == 1
    assert not found.converged[1, 0]
    with pytest.raises(ValueError, match=rf"no fit of 3 components with '{name}': .*component"):
        found.model(3, name)
    assert re.search("^3 +-$", repr(found), re.MULTILINE)
    assert "without a fit" in repr(found)


def test_a_component_of_too_few_samples_has_a_reason():
    rng = np.random.default_rng(0)
    X = np.concatenate([rng.normal(size=(30, 4)), 100 + rng.normal(size=(3, 4))])
    found = select(X, [2], ["EEE", "VVV"])
    assert re.search(
        r"component \d holds 3 of 33 samples, and needs 5 for 'VVV' with 4 features: .*'VEE'", found.reasons[2, "VVV"]
    )
    assert found.best_covariance_type == "EEE"


def test_more_components_than_samples(faithful):
    with pytest.warns(UserWarning, match="None of the 1 models of two components or more"):
        found = select(faithful[:5], [1, 6], ["EII"])
    assert found.reasons == {
        (
            6,
            "EII",
        ): "6 components of type 'EII' with 2 features need 12 distinct samples at least, and there are 5: ask for 2 "
        "components at most"
    }


def test_no_cell_at_all():
    X = np.random.default_rng(0).normal(size=(4, 5))
    with pytest.raises(ValueError, match=r"none of the 2 models could be fitted: .*choose 'EII', .*\(1 of them\)"):
        select(X, [1, 2], ["VVV"])


# --- what cannot be valid ---

#: Distinct samples that k components of d features take, by the rank of the scatter of the components, one by one and together.
LEAST = {
    "EII": lambda k, d: k + 1,
    "VII": lambda k, d: 2 * k,
    "EEI": lambda k, d: k + 1,
    "VEI": lambda k, d: 2 * k,
    "EVI": lambda k, d: 2 * k,
    "VVI": lambda k, d: 2 * k,
    "EEE": lambda k, d: k + d,
    "VEE": lambda k, d: max(2 * k, k + d),
    "EVE": lambda k, d: k * (d + 1),
    "VVE": lambda k, d: k * (d + 1),
    "EEV": lambda k, d: k + d,
    "VEV": lambda k, d: 2 * k + d - 1,
    "EVV": lambda k, d: k * (d + 1),
    "VVV": lambda k, d: k * (d + 1),
}


def regular(name, sizes, d):
    """Whether the M-step of groups of so many random samples is regular."""
    rng = np.random.default_rng(sum(sizes) + d)
    labels = np.repeat(np.arange(len(sizes)), sizes)
    X = rng.normal(size=(len(labels), d)) + 3 * rng.normal(size=(len(sizes), d))[labels]
    structure = STRUCTURES[name]
    stats = sufficient_statistics(X, np.eye(len(sizes))[labels], covariance_type=structure.layout.name)
    try:
        covariances = maximise(structure, stats, 0.0)[2]
    except NotPositiveDefinite:
        return False
    if structure.layout.name == "spherical":
        return bool(covariances.min() > 1e-9)
    if structure.layout.name == "diag":
        return bool(covariances.min() > 1e-9)
    return bool(np.linalg.eigvalsh(covariances).min() > 1e-9) if np.isfinite(covariances).all() else False


@pytest.mark.parametrize("name", MCLUST_NAMES)
@pytest.mark.parametrize(("k", "d"), [(1, 3), (2, 1), (2, 3), (3, 2)])
def test_what_is_refused_is_what_no_division_makes_regular(name, k, d):
    least = STRUCTURES[name].least_in_all(k, d)
    assert least == LEAST[name](k, d)

    def divisions(n):
        return [sizes for sizes in itertools.combinations_with_replacement(range(1, n + 1), k) if sum(sizes) == n]

    # EVE, VVE and EVV spend all iterations on what is singular; of EVI a component on one sample has any shape
    if least - 1 >= k and name not in ("EVE", "VVE", "EVV", "EVI"):
        assert not any(regular(name, sizes, d) for sizes in divisions(least - 1))
    # VEE and VEV have a maximum only if no component has too large a share of the samples for the rank of its scatter
    least += name in ("VEE", "VEV")
    assert any(regular(name, sizes, d) for sizes in divisions(least))


def test_nothing_is_refused_that_mclust_fits():
    found = [
        (case, name, cell)
        for of, case in mclust_reference.cases().items()
        for name, cell in mclust_reference.load()["cases"][of]["structures"].items()
        if cell["converged"]["loglik"] is not None and not case.undefined(name)
    ]
    assert len(found) > 150
    for case, name, _ in found:
        n_distinct = len(np.unique(case.X, axis=0))
        assert STRUCTURES[name].least_in_all(case.n_components, case.X.shape[1]) <= n_distinct


@pytest.fixture
def ran(monkeypatch):
    """Cells that ran, as a set."""
    cells = set()
    race = Races._race

    def counted(self, structure, place, *arguments, **options):
        cells.add((place.candidates.means.shape[1], structure.name))
        return race(self, structure, place, *arguments, **options)

    monkeypatch.setattr(Races, "_race", counted)
    return cells


def test_cells_that_cannot_be_valid_do_not_run(ran):
    X = np.random.default_rng(0).normal(size=(7, 5))
    with pytest.warns(
        UserWarning, match=r"None of the 2 models of two components or more.*so that one component is the best"
    ):
        found = select(X, range(1, 4), ["EVE"])
    assert ran == {(1, "EVE")}
    assert found.reasons[2, "EVE"].startswith(
        "2 components of type 'EVE' with 5 features need 12 distinct samples at least, and there are 7: choose 'EII', "
    )
    assert found.reasons[3, "EVE"].endswith("; or ask for 1 component at most")
    ran.clear()
    found = select(X, [3], "all")
    refused = {name for name in MCLUST_NAMES if least_in_all(STRUCTURES[name], 3, 5) > 7}
    assert refused == set(MCLUST_NAMES) - {"EII", "VII", "EEI", "VEI"}
    assert {name for _, name in found.reasons} >= refused
    assert not {name for _, name in ran} & refused


# --- what is spurious ---


@pytest.mark.parametrize("name", MCLUST_NAMES)
@pytest.mark.parametrize(("k", "d"), [(1, 3), (2, 1), (2, 3), (5, 10)])
def test_samples_that_the_rule_asks_for(name, k, d):
    structure = STRUCTURES[name]
    own_form = name[1] == "V" or name[2] == "V"
    assert least_samples(structure, d) == (d + 1 if own_form else 2 if name[0] == "V" else 1)
    least = least_in_all(structure, k, d)
    assert least >= STRUCTURES[name].least_in_all(k, d)
    assert least >= k * least_samples(structure, d)
    if k > 1:
        assert least >= (k + 2 * d + 1 if d > 1 and name.endswith("EE") else 2 * k)


@pytest.mark.parametrize("seed", range(4))
def test_one_cluster_of_few_samples_is_not_cut_into_many(seed):
    X = np.random.default_rng(seed).normal(size=(31, 3))
    assert select(X, covariance_types=["EII", "EEE", "EEV", "VEV"]).best_n_components == 1
    found = select(10 * np.random.default_rng(seed).normal(size=(30, 7)), range(1, 6))
    assert found.best_n_components == 1


@pytest.mark.parametrize("seed", range(3))
def test_a_pooled_covariance_of_nearly_as_many_components_as_samples_does_not_win(seed):
    rng = np.random.default_rng(seed)
    classes = np.arange(25) % 3
    X = (rng.normal(size=(25, 10)) + 6 * np.eye(3, 10)[classes]) @ rng.normal(size=(10, 10))
    found = select(X, range(1, 16), ["EEE"])
    assert found.best_n_components == 3
    assert len(set(zip(classes, found.best_model.predict(X), strict=True))) == 3
    assert "6 components of type 'EEE' with 10 features need 27 distinct samples" in found.reasons[6, "EEE"]


def test_components_of_winners_hold_as_many_samples_as_they_need(iris):
    rng = np.random.default_rng(5)
    for X in (iris[:40], rng.standard_t(3, size=(60, 2)), rng.integers(0, 4, size=(80, 3)).astype(float)):
        found = select(X, range(1, 8))
        for row in found.ranking():
            model = found.model(row.n_components, row.covariance_type)
            held = model.weights_ * len(X)
            assert held.min() > least_samples(STRUCTURES[row.covariance_type], X.shape[1]) - 0.2


# --- units ---


@pytest.mark.parametrize("factor", [1e-4, 1e4, 2.0**-40])
def test_units_do_not_matter(of_iris, iris, factor):
    found = select(iris * factor, range(1, 6))
    assert (found.best_covariance_type, found.best_n_components) == ("VEV", 2)
    assert set(found.reasons) == set(of_iris.reasons)
    np.testing.assert_allclose(found.bic, of_iris.bic + 2 * 150 * 4 * np.log(factor), rtol=1e-6, atol=0.05)


@pytest.mark.parametrize("factor", [1e-4, 1e4])
@pytest.mark.parametrize("feature", range(4))
def test_units_of_a_feature_do_not_matter_to_types_that_know_none(iris, factor, feature):
    names = ["EEI", "VEI", "EVI", "VVI", "EEE", "VEE", "EVV", "VVV"]
    scaled = iris.copy()
    scaled[:, feature] *= factor
    one, other = select(iris, range(1, 6), names), select(scaled, range(1, 6), names)
    assert set(one.reasons) == set(other.reasons)
    np.testing.assert_allclose(other.bic, one.bic + 2 * 150 * np.log(factor), rtol=1e-6, atol=0.1)
    assert one.best_covariance_type == other.best_covariance_type


def test_a_feature_of_small_variance_loses_no_model(iris):
    X = np.c_[iris, 1e-3 * np.random.default_rng(0).normal(size=150)]
    found = select(X, [1, 2], ["EEE", "VVV"])
    assert not found.reasons
    model = GaussianMixture(1, covariance_type="EEE", reg_covar=0).fit(X)
    assert found.bic[0, 0] == pytest.approx(model.bic(X), abs=1e-3)


def test_samples_that_are_equal_count_once():
    X = np.repeat(np.random.default_rng(0).normal(size=(5, 2)), 40, axis=0)
    found = select(X, [2], ["EII", "VVV"])
    assert list(found.reasons) == [(2, "VVV")]
    assert "need 6 distinct samples at least, and there are 5" in found.reasons[2, "VVV"]


# --- reasons and their advice ---


def advised(reason):
    """Names of structures in the advice of a reason."""
    return set(re.findall(r"'([EVI]+)'", reason.partition(": ")[2]))


def test_advice_is_of_structures_that_can_be_had():
    X = np.random.default_rng(0).normal(size=(7, 5))
    found = select(X, [2, 3])
    failed = {k: {name for size, name in found.reasons if size == k} for k in (2, 3)}
    assert len(failed[3]) > 8
    for (k, name), reason in found.reasons.items():
        assert name not in advised(reason)
        assert advised(reason)
        assert not advised(reason) & failed[k], reason
        for other in advised(reason):
            assert LEAST[other](k, 5) <= 7
        assert "raise" not in reason


@pytest.mark.parametrize("types", [["E", "V"], ["VVV", "EEE"]])
def test_advice_for_one_feature_is_of_one_letter(types):
    X = np.repeat([[0.0], [1.0], [2.0], [4.0]], 50, 0)
    found = select(X, [2], types)
    (reason,) = found.reasons.values()
    assert advised(reason) == {"E"}
    assert not re.search("'[EVI]{3}'", reason.partition(": ")[2])


@pytest.mark.parametrize("frame", [False, True])
def test_collinear_features_are_named(faithful, frame):
    x, y = faithful.T
    X = np.c_[x, 2 * x, y]
    found = select(pd.DataFrame(X, columns=["a", "b", "c"]) if frame else X, [1, 2])
    names = ("'a'", "'b'") if frame else ("feature 0", "feature 1")
    assert {name for _, name in found.reasons} == set(MCLUST_NAMES[6:])
    assert set(found.reasons.values()) == {
        f"{names[1]} is a linear combination of {names[0]}: choose 'EII', 'VII', 'EEI', 'VEI', 'EVI' or 'VVI'; or leave out what "
        "others imply"
    }


def test_all_of_the_exact_case_of_two_collinear_columns(faithful):
    x = faithful[:, :1]
    found = select(np.c_[x, 2 * x], [2])
    assert "feature 1 is a linear combination of feature 0: " in found.reasons[2, "VVV"]


def test_collinear_features_of_a_fit_that_collapses(faithful):
    x, y = np.tile([[1.0, 1.0, -1.0, -1.0], [1.0, -1.0, 1.0, -1.0]], 64)  # sums and factors are exact
    with pytest.raises(
        ValueError,
        match=r"feature 2 is a linear combination of feature 0 and feature 1 \(features counted from 0\): leave out",
    ) as told:
        GaussianMixture(1, reg_covar=0).fit(np.c_[x, y, x - y])
    assert "decrease the number of components" not in str(told.value)
    with pytest.raises(ValueError, match="ill-defined") as told:  # few samples, and no collinear features
        GaussianMixture(1, reg_covar=0).fit(np.array([[1.0, 1.0], [-1.0, -1.0]]))
    assert "linear combination" not in str(told.value)


def test_collinear():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(100, 4))
    X = np.c_[X[:, :2], X[:, 0] * 1e6, X[:, 2], X[:, 1] - 3 * X[:, 2] + 7, X[:, 3], np.full(100, 3.0)]
    centred = X - X.mean(axis=0)
    found = collinear(centred.T @ centred)
    assert found == {2: [0], 4: [1, 3], 6: []}
    assert described(found, "abcdefg") == (
        "c is a linear combination of a; e is a linear combination of b and d; g is constant"
    )
    near = np.c_[X[:, 0], X[:, 0] + 1e-4 * X[:, 1]]
    assert collinear(np.cov(near.T)) == {}


# --- constant features ---


def two_groups(n=50):
    rng = np.random.default_rng(0)
    return np.concatenate([rng.normal(size=(n, 2)), 6 + rng.normal(size=(n, 2))])


LEFT_OUT = r"feature 2 \(counted from 0\) is constant and is left out"


@pytest.mark.parametrize("column", [5.0, 0.0, "rounding"])
def test_a_constant_feature_is_left_out(column, tmp_path):
    X = two_groups()
    n = len(X)
    constant = np.where(np.arange(n) % 2, 0.1 + 0.2, 0.3) if column == "rounding" else np.full(n, column)
    whole = np.c_[X, constant]
    with pytest.warns(UserWarning, match=LEFT_OUT):
        found = select(whole, range(1, 5))
    without = select(X, range(1, 5))
    assert not found.reasons
    np.testing.assert_array_equal(found.bic, without.bic)
    np.testing.assert_array_equal(found.n_parameters, without.n_parameters)
    assert found.best_n_components == 2
    assert (found.features, without.features) == ((0, 1), (0, 1))
    model = found.best_model
    assert model.means_.shape == (2, 2)
    np.testing.assert_array_equal(model.predict(whole), without.best_model.predict(X))
    np.testing.assert_array_equal(model.predict(X), without.best_model.predict(X))
    assert model.bic(whole) == pytest.approx(found.bic.min(), rel=1e-12)
    assert found.model(1, "VEV").predict_proba(whole).shape == (n, 1)
    model.save(tmp_path / "m.npz")
    loaded = fastgmm.load(tmp_path / "m.npz")
    np.testing.assert_array_equal(loaded.predict(whole), model.predict(whole))
    with pytest.raises(ValueError, match="X has 4 features"):
        loaded.predict(np.c_[whole, X[:, 0]])
    model.fit(whole)
    assert model.means_.shape == (2, 3)
    with pytest.raises(ValueError, match="X has 2 features"):
        model.predict(X)


def test_a_constant_column_of_a_frame_is_named(tmp_path):
    X = two_groups()
    frame = pd.DataFrame({"a": X[:, 0], "unit": 1.0, "b": X[:, 1], "year": 2020})
    with pytest.warns(UserWarning, match="features 'unit' and 'year' are constant and are left out"):
        found = select(frame, [1, 2], ["EEE"])
    model = found.best_model
    assert found.features == (0, 2)
    assert list(model.feature_names_in_) == ["a", "b"]
    labels = model.predict(frame)
    np.testing.assert_array_equal(labels, model.predict(frame[["a", "b"]]))
    np.testing.assert_array_equal(labels, model.predict(frame.assign(year=2021)))
    with pytest.raises(ValueError, match="feature names"):
        model.predict(frame.rename(columns={"a": "c"}))
    model.save(tmp_path / "m.npz")
    np.testing.assert_array_equal(fastgmm.load(tmp_path / "m.npz").predict(frame), labels)


def test_constant_among_samples_of_positive_weight():
    X = two_groups()
    column = np.where(np.arange(100) < 10, np.arange(100), 7.0)
    weights = np.where(np.arange(100) < 10, 0.0, 2.0)
    with pytest.warns(UserWarning, match=LEFT_OUT):
        found = select(np.c_[X, column], [1, 2], ["EEE"], sample_weight=weights)
    assert found.best_model.means_.shape == (2, 2)
    assert select(np.c_[X, column], [2], ["EEE"]).best_model.means_.shape == (2, 3)


def test_constant_features_of_chunks_and_files(tmp_path, limits):
    X = two_groups(200)
    whole = np.c_[X, np.full(400, 5.0)]
    weights = np.r_[0.0, np.ones(399)]
    whole[0, 2] = 6.0
    np.save(tmp_path / "x.npy", whole)
    limits(loaded=4096)
    expected = select(X, [1, 2], ["EEE", "VVI"], sample_weight=weights, init_params="kmeans", random_state=0)
    for data in (fastgmm.chunks([whole[:150], whole[150:]]), tmp_path / "x.npy"):
        with pytest.warns(UserWarning, match=LEFT_OUT):
            found = select(data, [1, 2], ["EEE", "VVI"], sample_weight=weights, init_params="kmeans", random_state=0)
        np.testing.assert_allclose(found.bic, expected.bic, rtol=1e-4)
        np.testing.assert_array_equal(found.best_model.predict(data), expected.best_model.predict(X))


@pytest.mark.parametrize("framed", [False, True])
def test_constant_features_of_dask(framed):
    dask = pytest.importorskip("dask")
    whole = np.c_[two_groups(), np.full(100, 5.0)]
    if framed:
        frame = pd.DataFrame(whole, columns=["a", "b", "c"])
        data = pytest.importorskip("dask.dataframe").from_pandas(frame, npartitions=3)
    else:
        data = pytest.importorskip("dask.array").from_array(whole, chunks=(40, 3))
    message = "feature 'c' is constant and is left out" if framed else LEFT_OUT
    with dask.config.set(scheduler="synchronous"):
        with pytest.warns(UserWarning, match=message):
            found = select(data, [1, 2], ["EEE"])
        labels = np.asarray(found.best_model.predict(data))
    np.testing.assert_array_equal(labels, select(whole[:, :2], [1, 2], ["EEE"]).best_model.predict(whole[:, :2]))


@pytest.mark.parametrize("X", [np.ones((20, 2)), np.full((20, 1), 3.0)])
def test_all_features_constant(X):
    with pytest.raises(
        ValueError, match=r"(all 2 features are|the feature is) constant, so that none of the models .* that vary"
    ):
        select(X, [1, 2])


# --- the size that won ---


def test_one_component_for_want_of_others_warns():
    X = np.repeat([[0.0], [1.0]], 50, 0)
    with pytest.warns(
        UserWarning, match=r"None of the 4 models of two components or more .* ask for 1 component at most"
    ):
        found = select(X, range(1, 4))
    assert found.best_n_components == 1


@pytest.mark.filterwarnings("error")
def test_the_largest_size_is_told(faithful):
    found = select(faithful, [1, 2], ["EEE"])
    assert "\nThe best has 2 components, the most that were tried: try more.\n" in repr(found) + "\n"
    assert "try more" not in repr(select(faithful, range(1, 5), ["EEE"]))
    assert "try more" not in repr(select(faithful, [2], ["EEE"]))


def test_the_largest_of_the_default_sizes_warns():
    rng = np.random.default_rng(0)
    X = rng.permutation(np.concatenate([100.0 * i + rng.normal(size=30) for i in range(12)]))[:, None]
    with pytest.warns(UserWarning, match=r"The best model has 9 components, as many as were tried.*range\(1, 19\)"):
        found = select(X, covariance_types=["V"])
    assert found.best_n_components == 9


def test_the_largest_size_that_has_a_fit_is_told():
    X = np.concatenate(
        [np.random.default_rng(0).normal(size=(8, 2)), [50, 0] + np.random.default_rng(1).normal(size=(8, 2))]
    )
    found = select(X, [1, 2, 6], ["VVV"])
    assert "The best has 2 components, the most that have a fit." in repr(found)


# --- what is done with a selection ---


def test_table_and_ranking(of_iris):
    rows = of_iris.table
    assert [(row.n_components, row.covariance_type) for row in rows[13:15]] == [(1, "VVV"), (2, "EII")]
    assert rows[0].bic == of_iris.bic[0, 0]
    values = [row.bic for row in of_iris.ranking()]
    assert values == sorted(values)
    assert len(values) == 70
    assert len(of_iris.ranking(3)) == 3
    with pytest.raises(ValueError, match="n must be an integer of at least 1"):
        of_iris.ranking(0)
    frame = of_iris.to_pandas()
    assert list(frame.columns) == list(selection.Row._fields)
    assert frame.loc[frame.bic.idxmin(), "covariance_type"] == "VEV"


def test_text(of_faithful):
    text = repr(of_faithful)
    assert text == str(of_faithful)
    assert max(map(len, text.splitlines())) <= 80
    assert re.search(r"^3 .* 2314\.\d{3}$", text, re.MULTILINE)
    assert re.search(r"Top 3 models by BIC:\n  EEE, 3  2314\.\d{3}\n", text)


def test_the_best_model_is_a_model(of_faithful, faithful, tmp_path):
    model = of_faithful.best_model
    assert model is of_faithful.best_model
    assert (model.n_components, model.covariance_type) == (3, "EEE")
    assert sorted(np.bincount(model.predict(faithful)))[-1] > 120
    model.save(tmp_path / "m.npz")
    np.testing.assert_array_equal(fastgmm.load(tmp_path / "m.npz").predict(faithful), model.predict(faithful))
    model.set_params(warm_start=True).fit(faithful)
    assert model.bic(faithful) <= of_faithful.bic.min() + 1e-6


def test_models_have_the_names_of_features(faithful):
    frame = pd.DataFrame(faithful, columns=["eruptions", "waiting"])
    model = select(frame, [1], ["EEE"]).best_model
    assert list(model.feature_names_in_) == ["eruptions", "waiting"]
    assert model.predict(frame).shape == (272,)


def test_nothing_is_changed_and_values_are_read_only(faithful, of_faithful):
    with pytest.raises(ValueError, match="read-only"):
        of_faithful.bic[0, 0] = 0
    with pytest.raises(AttributeError):
        of_faithful.criterion = "aic"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((10, "EEE"), r"n_components must be one of 1, 2, .*, got 10"),
        ((3, "EEEE"), r"covariance_type must be one of .*did you mean 'EEE'\?"),
        ((0, "EEE"), "n_components must be an integer of at least 1"),
    ],
)
def test_no_such_model(of_faithful, arguments, message):
    with pytest.raises(ValueError, match=message):
        of_faithful.model(*arguments)


def test_plot(of_faithful):
    figure = pytest.importorskip("matplotlib.figure").Figure()
    drawn = of_faithful.plot(figure.subplots(), covariance_types=["EEE", "VVV"])
    assert len(drawn.lines) == 2
    np.testing.assert_array_equal(drawn.lines[0].get_ydata(), of_faithful.bic[:, MCLUST_NAMES.index("EEE")])


def test_without_pandas(of_faithful, monkeypatch):
    def none(name):
        raise ImportError(name)

    monkeypatch.setattr(_compat.importlib, "import_module", none)
    with pytest.raises(ImportError, match=r"Selection\.to_pandas needs the package 'pandas'.*pip install pandas"):
        of_faithful.to_pandas()


# --- on the way ---


def test_progress(faithful, capsys, limits):
    limits(line_seconds=0.0)
    select(faithful, [1, 2], ["EEE", "VVV"], progress=True)
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "model 1 of 4: EEE, 1 component"
    assert lines[3].startswith("model 4 of 4: VVV, 2 components; 66 % of the work, ")


@pytest.mark.parametrize("n_threads", [1, 2])
def test_ctrl_c_keeps_the_cells_that_are_done(faithful, monkeypatch, n_threads):
    run_size = Races._run_size

    def interrupted(self, k, starts):
        if k == 3:
            raise KeyboardInterrupt
        run_size(self, k, starts)

    monkeypatch.setattr(Races, "_run_size", interrupted)
    with pytest.warns(UserWarning, match=r"The search was interrupted: \d+ of 18 models were not fitted"):
        found = select(faithful, covariance_types=["EEE", "VVV"], n_threads=n_threads)
    assert np.isfinite(found.bic[:2]).all()
    assert np.isnan(found.bic[2]).all()
    assert found.reasons[9, "VVV"] == "the search was interrupted before it was fitted"
    np.testing.assert_array_equal(found.bic[:2], select(faithful, [1, 2], ["EEE", "VVV"]).bic)


def test_ctrl_c_before_any_cell_is_done(faithful, monkeypatch):
    def interrupted(self, k, starts):
        raise KeyboardInterrupt

    monkeypatch.setattr(Races, "_run_size", interrupted)
    with pytest.raises(KeyboardInterrupt):
        select(faithful)


def test_an_error_in_a_thread_is_raised(faithful, monkeypatch):
    run_cell = Races._run_cell

    def failing(self, k, *arguments):
        if k == 2:
            raise MemoryError("there")
        run_cell(self, k, *arguments)

    monkeypatch.setattr(Races, "_run_cell", failing)
    with pytest.raises(MemoryError, match="there"):
        select(faithful, n_threads=2)


def test_a_best_model_that_did_not_converge_is_told(faithful):
    with pytest.warns(fastgmm.ConvergenceWarning, match=r"EEE with 3 components, did not converge within max_iter=2"):
        select(faithful, [3], ["EEE"], max_iter=2)


# --- arguments ---


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"n_components": []}, ValueError, r"n_components is empty.*range\(1, 10\)"),
        ({"n_components": [1, 2, 1]}, ValueError, "n_components has 1 more than once"),
        ({"n_components": [0]}, ValueError, "n_components must be an integer of at least 1"),
        ({"n_components": [1.5]}, TypeError, "n_components must be an integer of at least 1, got 1.5"),
        ({"n_components": "3"}, TypeError, "n_components must be an integer of at least 1, got '3'"),
        ({"n_components": True}, TypeError, "n_components must be an integer"),
        ({"covariance_types": []}, ValueError, "covariance_types is empty"),
        (
            {"covariance_types": ["VVV", "VVX"]},
            ValueError,
            r"covariance_types must be one of .*'EII', .*did you mean 'VVV'\?",
        ),
        ({"covariance_types": ["VVV", "VVV"]}, ValueError, "covariance_types has 'VVV' more than once"),
        ({"covariance_types": ["all", "VVV"]}, ValueError, "not a list that has 'all' in it"),
        ({"covariance_types": 3}, TypeError, "covariance_types must be 'all', a name or several names, got 3"),
        ({"covariance_types": "E"}, ValueError, "is for data of one feature, but there are 2"),
        (
            {"criterion": "bicc"},
            ValueError,
            r"criterion must be one of 'bic', 'icl', 'aic', 'stability', got 'bicc'; did you mean 'bic'\?",
        ),
        ({"init_params": "kmean"}, ValueError, r"init_params must be one of .*did you mean 'kmeans'\?"),
        ({"n_init": 0}, ValueError, "n_init must be an integer of at least 1"),
        ({"tol": -1}, ValueError, "tol must be a finite number of at least 0"),
        ({"reg_covar": math.nan}, ValueError, "reg_covar must be a finite number of at least 0"),
        ({"max_iter": 0}, ValueError, "max_iter must be an integer of at least 1"),
        ({"n_threads": 0}, ValueError, "n_threads must be an integer of at least 1"),
        ({"progress": 1}, TypeError, "progress must be True or False"),
        ({"random_state": "x"}, ValueError, "random_state must be None, an integer"),
        ({"sample_weight": [1.0]}, ValueError, r"sample_weight must have the shape \(272,\)"),
    ],
)
def test_arguments_are_checked(faithful, arguments, error, message):
    with pytest.raises(error, match=message):
        select(faithful, **arguments)


def test_data_are_checked():
    with pytest.raises(ValueError, match="NaN"):
        select([[1.0, np.nan], [2.0, 3.0]])
    with pytest.raises(ValueError, match="minimum of 2"):
        select([[1.0, 2.0]])


# --- what it is built of ---


def test_contains():
    structures = [STRUCTURES[name] for name in MCLUST_NAMES]
    for simple, rich in itertools.product(structures, repeat=2):
        if rich.contains(simple):
            assert rich.n_parameters(3, 4) >= simple.n_parameters(3, 4)
            assert MCLUST_NAMES.index(simple.name) <= MCLUST_NAMES.index(rich.name)
    assert all(STRUCTURES["VVV"].contains(s) for s in structures)
    assert STRUCTURES["V"].contains(STRUCTURES["E"])
    assert STRUCTURES["full"].contains(STRUCTURES["tied"])
    assert not STRUCTURES["EEV"].contains(STRUCTURES["EVI"])


def test_statistics_in_another_layout(iris):
    resp = np.random.default_rng(0).dirichlet(np.ones(3), len(iris))
    full = sufficient_statistics(iris, resp)
    for layout in ("full", "tied", "diag", "spherical"):
        direct = sufficient_statistics(iris, resp, covariance_type=layout)
        np.testing.assert_allclose(full.in_layout(layout_named(layout)).scatter, direct.scatter, rtol=1e-10)
    with pytest.raises(ValueError, match="statistics of layout 'tied' do not hold those of layout 'diag'"):
        full.in_layout(TIED).in_layout(DIAG)


def test_parameters_in_another_layout(iris):
    means, weights = iris[:2].astype(float), np.array([0.5, 0.5])
    variances = np.array([[1.0, 2.0, 3.0, 4.0]] * 2)
    diag = Params(DIAG, weights, means, variances, 1 / np.sqrt(variances))
    source = ArraySource(iris)
    for moved in (diag.in_layout(FULL), diag.in_layout(TIED), diag.in_layout(TIED).in_layout(FULL)):
        np.testing.assert_allclose(evaluate.log_prob(source, moved), evaluate.log_prob(source, diag), rtol=1e-12)
    round_ = Params(SPHERICAL, weights, means, np.array([1.0, 2.0]), 1 / np.sqrt([1.0, 2.0]))
    for layout in ("diag", "full"):
        moved = round_.in_layout(layout_named(layout))
        np.testing.assert_allclose(evaluate.log_prob(source, moved), evaluate.log_prob(source, round_), rtol=1e-12)


# --- in a notebook ---


def test_a_notebook_shows_the_best_models_and_the_criterion():
    rng = np.random.default_rng(0)
    X = np.vstack([np.full((30, 2), 90.0), rng.normal(size=(60, 2)), rng.normal(size=(60, 2)) + 9.0])
    found = select(X, [1, 2, 3, 4], ["EEE", "VVV"])
    page = found._repr_html_()
    assert f"{found.best_covariance_type} with {found.best_n_components} component" in page
    for row, difference in found.differences(5):
        assert f"{row.bic:.3f}</td>" in page
        assert f"{difference:.3f}</td>" in page
    assert page.count(">-</td>") == np.isnan(found.bic).sum() > 0
    # in bold the five cells of the best model, and the three of the row of its size
    assert page.count("font-weight:bold") == 5 + 3


# --- what ends early ---


def test_sizes_above_two_without_a_valid_fit_are_left_out():
    """Their reason says so; whether they are left out does not depend on the threads."""
    X = np.random.default_rng(4).normal(size=(27, 2)).round(1)
    found = select(X, range(1, 10), ["EVI", "VVV", "EEV"])
    above = {key: reason for key, reason in found.reasons.items() if "have no valid fit, so that" in reason}
    assert above
    for (k, name), reason in above.items():
        assert reason.startswith(f"{k - 2} and {k - 1} components of type {name!r}")
        column = found.covariance_types.index(name)
        assert np.isnan(found.bic[k - 1, column])
        assert (k - 1, name) in found.reasons
    assert select(X, range(1, 10), ["EVI", "VVV", "EEV"], n_threads=1).reasons == found.reasons


def test_a_size_is_tried_if_those_below_were_not_asked_for():
    X = np.random.default_rng(4).normal(size=(27, 2)).round(1)
    with pytest.warns(UserWarning, match="None of the 2 models of two components or more"):
        found = select(X, [1, 7, 9], ["VVV"])
    assert "so that" not in "".join(found.reasons.values())
