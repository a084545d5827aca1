"""Long searches, weights, stability, and what a selection says of itself."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

import fastgmm
from fastgmm import select
from fastgmm.data.source import ArraySource
from fastgmm.selection.races import Races
from fastgmm.selection.sampling import enriched
from fastgmm.selection.search import Grid
from fastgmm.selection.selector import kish
from fastgmm.selection.stability import adjusted_rand

# --- checkpoints ---


def interrupted(monkeypatch, owner, name, call):
    """Let call number `call` of a method end in Ctrl-C; return a list that grows with each call."""
    calls, method = [], getattr(owner, name)

    def stops(self, *arguments, **options):
        calls.append(arguments[0])
        if len(calls) == call:
            raise KeyboardInterrupt
        return method(self, *arguments, **options)

    monkeypatch.setattr(owner, name, stops)
    return calls


@pytest.mark.parametrize("n_threads", [1, 2])
def test_a_search_of_little_data_resumes_to_the_same_bits(iris, tmp_path, monkeypatch, n_threads):
    path, types = tmp_path / "search", ["EII", "VVI", "VEV", "VVV"]
    whole = select(iris, range(1, 6), types)
    with monkeypatch.context() as patch:
        interrupted(patch, Races, "_run_size", 4)
        with pytest.warns(UserWarning, match="The search was interrupted: 8 of 20 models"):
            part = select(iris, range(1, 6), types, checkpoint=path, n_threads=n_threads)
    np.testing.assert_array_equal(part.bic[:3], whole.bic[:3])
    assert path.exists()
    with monkeypatch.context() as patch:
        ran = interrupted(patch, Races, "_run_size", 99)
        found = select(iris, range(1, 6), types, checkpoint=path, n_threads=n_threads)
    assert sorted(ran) == [4, 5]
    assert not path.exists()
    for name in ("bic", "icl", "entropy", "converged"):
        np.testing.assert_array_equal(getattr(found, name), getattr(whole, name))
    np.testing.assert_array_equal(found.model(5, "VVV").means_, whole.model(5, "VVV").means_)
    assert found.reasons == whole.reasons


def test_a_search_of_large_data_resumes_with_the_cells_that_are_left(tmp_path, monkeypatch):
    path, types = tmp_path / "search", ["EII", "EEE", "VVV"]
    X = np.random.default_rng(0).normal(size=(6000, 2))
    X[:2000] += 6.0
    whole = select(X, range(1, 4), types, random_state=0)
    with monkeypatch.context() as patch:
        interrupted(patch, Grid, "_cell", 5)
        with pytest.warns(UserWarning, match="The search was interrupted: 5 of 9 models"):
            select(X, range(1, 4), types, random_state=0, checkpoint=path)
    with monkeypatch.context() as patch:
        races, cells = interrupted(patch, Races, "_run_size", 99), interrupted(patch, Grid, "_cell", 99)
        found = select(X, range(1, 4), types, random_state=0, checkpoint=path)
    assert (races, len(cells)) == ([], 5)
    np.testing.assert_array_equal(found.bic, whole.bic)


def test_a_checkpoint_of_another_search_is_refused(iris, tmp_path, monkeypatch):
    path = tmp_path / "search"
    with monkeypatch.context() as patch:
        interrupted(patch, Races, "_run_size", 2)
        with pytest.warns(UserWarning, match="interrupted"):
            select(iris, [1, 2], ["EEE"], checkpoint=path)
    before = path.read_bytes()
    with pytest.raises(ValueError, match=r"is the checkpoint of another search: .*tol"):
        select(iris, [1, 2], ["EEE"], checkpoint=path, tol=1e-3)
    with pytest.raises(ValueError, match="is the checkpoint of another search: "):
        select(iris[:100], [1, 2], ["EEE"], checkpoint=path)
    with pytest.raises(ValueError, match="cannot be loaded as a checkpoint"):
        fastgmm.GaussianMixture(2).fit(iris, checkpoint=path)
    assert path.read_bytes() == before
    with pytest.raises(TypeError, match="checkpoint must be a path"):
        select(iris, [1], ["EEE"], checkpoint=3)


# --- rare populations ---


def test_a_rare_population_is_not_lost():
    rng = np.random.default_rng(1)
    X = rng.normal(size=(40_000, 4))
    X[20_000:] += [5.0, 0, 0, 0]
    X[7:40_000:1000] = [9.0, 9.0, 9.0, 9.0] + rng.normal(size=(40, 4))
    found = select(X, range(1, 5), ["EEE", "VVV"], random_state=0)
    assert found.best_n_components == 3
    assert found.best_model.weights_.min() == pytest.approx(0.001, rel=0.1)


def test_an_enriched_sample_stands_for_all():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(60_000, 3))
    X[::1000] += 30.0
    draws = np.random.RandomState(0)
    source = ArraySource(X)
    sample = enriched(source, source.subsample(5000, draws), draws, 1)
    assert sample.n_samples == pytest.approx(5000, abs=100)
    weights = sample.weights * sample.weight_unit
    rare = sample.X[:, 0] > 15.0
    assert rare.sum() == 60  # all of them
    assert weights[rare].sum() / weights.sum() == pytest.approx(0.001, rel=0.25)
    assert (weights @ sample.X[:, 1]) / weights.sum() == pytest.approx(X[:, 1].mean(), abs=0.05)


# --- weights ---


def test_importance_weights_have_no_scale(iris):
    weights = np.random.default_rng(0).uniform(0.1, 2.0, 150)
    found = [
        select(iris, [1, 2], ["EEE", "VVV"], sample_weight=scale * weights, weight_type="importance")
        for scale in (1.0, 1e-3, 50.0)
    ]
    effective = weights.sum() ** 2 / (weights**2).sum()
    for one in found:
        assert one.n_samples == pytest.approx(effective)
        np.testing.assert_allclose(one.bic, found[0].bic, rtol=1e-9)
    model = found[0].model(1, "VVV")
    mean = np.average(model.score_samples(iris), weights=weights)
    assert found[0].log_likelihood[0, 1] == pytest.approx(effective * mean)
    assert kish(ArraySource(iris), 1) == 150
    equal = select(iris, [2], ["EEE"], sample_weight=np.full(150, 7.0), weight_type="importance")
    np.testing.assert_allclose(equal.bic, select(iris, [2], ["EEE"]).bic)
    with pytest.raises(ValueError, match="weight_type must be one of"):
        select(iris, [1], ["EEE"], weight_type="kish")


# --- stability ---


def test_adjusted_rand_index():
    metrics = pytest.importorskip("sklearn.metrics")
    rng = np.random.default_rng(0)
    for m in (1, 2, 5):
        one, other = rng.integers(3, size=60), rng.integers(m, size=60)
        assert adjusted_rand(one, other) == pytest.approx(metrics.adjusted_rand_score(one, other))
    assert adjusted_rand(one, (one + 1) % 3) == 1.0


def test_stability_finds_the_clusters():
    rng = np.random.default_rng(0)
    X = np.concatenate([rng.normal(size=(40, 2)) + at for at in ([0, 0], [9, 0], [0, 9])])
    found = select(X, range(1, 6), ["EEE", "VVV"], "stability", random_state=0)
    assert found.best_n_components == 3
    assert found.stability[2].min() > 0.95
    assert np.isnan(found.stability[0]).all()
    assert found.ranking(1)[0].stability == np.nanmax(found.stability)
    assert repr(found).startswith("STABILITY (higher is better)")
    again = select(X, range(1, 6), ["EEE", "VVV"], "stability", random_state=0, n_threads=1)
    np.testing.assert_array_equal(again.stability, found.stability)
    assert np.isnan(select(X, [2], ["EEE"]).stability).all()
    with pytest.raises(ValueError, match="compares partitions, and a single component has only one"):
        select(X, [1], ["EEE"], "stability")


# --- what a selection says ---


def test_summary_and_differences(faithful):
    found = select(faithful, range(1, 5), ["EEE", "VVV"])
    text = found.summary(3)
    assert text.startswith("EEE with 3 components, the best of 8 models by BIC\n")
    for part in ("free parameters  11", "samples  272", "BIC  2314."):
        assert part in text
    assert len([line for line in text.splitlines() if line.lstrip().startswith(("EEE, ", "VVV, "))]) == 3
    rows = found.differences()
    assert [row for row, _ in rows] == found.ranking()
    assert rows[0][1] == 0.0
    for (row, more), (_, next_more) in itertools.pairwise(rows):
        assert row.bic - rows[0][0].bic == pytest.approx(more)
        assert more <= next_more + 1e-6


def test_models_that_are_the_same_keep_their_order(iris):
    first = select(iris, [1]).ranking(8)
    assert [row.covariance_type for row in first] == ["EEE", "VEE", "EVE", "VVE", "EEV", "VEV", "EVV", "VVV"]


def test_the_smallest_size_is_told(faithful):
    found = select(faithful, [3, 4], ["EEE"])
    assert "The best has 3 components, the fewest that were tried: try fewer." in repr(found)


@pytest.mark.parametrize("what", ["criterion", "icl", "classification", "uncertainty", "density"])
def test_plots(faithful, what):
    plt = pytest.importorskip("matplotlib.pyplot")
    found = select(faithful, [1, 2], ["EEE", "VVV"])
    figure = plt.figure()
    artists = found.plot(figure, what=what, **({"X": faithful} if what in ("classification", "uncertainty") else {}))
    assert artists is not None
    assert figure.axes
    plt.close(figure)
    if what in ("classification", "uncertainty"):
        with pytest.raises(ValueError, match="draws samples, which a selection does not keep: pass X"):
            found.plot(what=what)
    with pytest.raises(ValueError, match="what must be one of"):
        found.plot(what="cluster")
