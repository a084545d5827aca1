"""Several starts in one fit: which are stopped early, which winner that leaves, and the warnings about it."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sklearn.exceptions
from conftest import assert_same_bits, edited, fit
from kit import during_fits

import fastgmm
from fastgmm import GaussianMixture, chunks
from fastgmm._limits import limited_to
from fastgmm.datasets import make_mixture
from fastgmm.em.callbacks import Callback
from fastgmm.em.result import FitResult
from fastgmm.estimators import fittable
from fastgmm.fitting import checkpoint as checkpoints
from fastgmm.fitting.pruning import fingerprint, found_once
from fastgmm.fitting.run import Fit
from fastgmm.model.layouts import DIAG
from fastgmm.model.params import Params

LAYOUTS = ["full", "tied", "diag", "spherical"]


class Noting(Callback):
    """Keeps what each start came to."""

    def __init__(self) -> None:
        self.fits: list[FitResult] = []

    def end(self, result: FitResult) -> None:
        self.fits.append(result)

    @property
    def n_iter(self) -> int:
        return sum(fit.n_iter for fit in self.fits)

    @property
    def stopped_early(self) -> list[str]:
        return [fit.stopped_early for fit in self.fits]


@pytest.fixture
def noting(monkeypatch):
    """Call with a model to have it tell a `Noting`."""

    def listen(model: GaussianMixture) -> Noting:
        heard = Noting()
        monkeypatch.setattr(fittable, "Lines", lambda *_: heard)
        model.set_params(verbose=1)
        return heard

    return listen


def overlapping(n=1500, seed=0, k=5):
    return np.ascontiguousarray(make_mixture(n, 2, k, separation=2.0, random_state=seed).X)


def model(**arguments: Any) -> GaussianMixture:
    defaults: dict = {"n_init": 6, "random_state": 0, "tol": 1e-5, "init_params": "random_from_data"}
    return GaussianMixture(**{"n_components": 5, **defaults, **arguments})


def whole_starts(estimator: GaussianMixture, X: Any, **options: Any) -> list[GaussianMixture]:
    """Fits of one start each, from the same draws, all to the end."""
    arguments = estimator.get_params() | {"n_init": 1, "verbose": 0}
    draws = np.random.RandomState(arguments.pop("random_state"))
    return [fit(GaussianMixture(random_state=draws, **arguments), X, **options) for _ in range(estimator.n_init)]


# --- winners ---


@pytest.mark.parametrize("init", ["kmeans", "k-means++", "random", "random_from_data"])
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("n", [400, 1500])
def test_the_winner_at_the_default_tol_is_that_of_whole_starts(n, layout, init, noting):
    for seed in range(3):
        X = overlapping(n, seed)
        several = model(covariance_type=layout, init_params=init, random_state=seed, tol=1e-3)
        heard = noting(several)
        fit(several, X)
        singles = whole_starts(several, X)
        bounds = [single.lower_bound_ for single in singles]
        best = singles[int(np.argmax(bounds))]
        if any("begins" in text for text in heard.stopped_early):
            # which of equal starts ends higher is a matter of the last digit
            assert several.lower_bound_ == pytest.approx(best.lower_bound_, rel=1e-12)
            assert several.n_iter_ == best.n_iter_
        else:
            assert_same_bits(several, best)
        for found, single in zip(heard.fits, singles, strict=True):
            if found.stopped_early:
                assert found.n_iter < single.n_iter_ or "begins" in found.stopped_early
            else:
                assert found.lower_bounds == single.lower_bounds_


@pytest.mark.parametrize("n", [400, 1500])  # the compiled loop, and sweep by sweep
def test_hopeless_starts_save_iterations(n, noting):
    saved = []
    for seed in range(4):
        X = overlapping(n, seed)
        several = model(random_state=seed, max_iter=150)
        heard = noting(several)
        fit(several, X)
        singles = whole_starts(several, X)
        saved.append(1 - heard.n_iter / sum(single.n_iter_ for single in singles))
        kept = [found.lower_bound for found in heard.fits if not found.stopped_early]
        assert several.lower_bound_ == max(kept)
        for found, single in zip(heard.fits, singles, strict=True):
            assert found.lower_bounds == single.lower_bounds_[: found.n_iter]
            if found.stopped_early:  # the rule, at the iteration where it was applied
                assert not found.converged
                rival = float(found.stopped_early.rpartition(" ")[2])
                bounds = found.lower_bounds
                assert bounds[-1] + 2 * (bounds[-1] - bounds[-2]) * (150 - found.n_iter) < rival + 1e-5
        # no start is better but such as were stopped early
        better = [i for i, single in enumerate(singles) if single.lower_bound_ > several.lower_bound_]
        assert all(heard.fits[i].stopped_early for i in better)
    assert sum(saved) / len(saved) > 0.05


@pytest.mark.parametrize("n", [400, 1500])
def test_a_plateau_is_waited_for(n, noting):
    # two groups, and all responsibilities nearly alike: gains fall to a tenth or less before EM finds them
    rng = np.random.default_rng(0)
    X = rng.normal(size=(n, 2)) + np.where(rng.random((n, 1)) < 0.5, 2.2, -2.2) * [1.0, 0.0]
    several = GaussianMixture(2, init_params="random", n_init=4, random_state=3, tol=1e-7, max_iter=10_000)
    heard = noting(several)
    fit(several, X)
    singles = whole_starts(several, X)
    gains = [np.diff(single.lower_bounds_) for single in singles[1:]]
    assert any(min(gain[:5]) < 0.1 * max(gain[5:]) for gain in gains)
    assert heard.stopped_early == [""] * 4
    assert several.lower_bound_ == max(single.lower_bound_ for single in singles)


# --- starts that are the same ---


def of_points(means: Any) -> Params:
    means = np.asarray(means, np.float64)
    k, d = means.shape
    return Params(DIAG, np.full(k, 1 / k), means, np.ones((k, d)), np.ones((k, d)))


def test_marks_do_not_depend_on_the_order_of_components():
    points = np.random.default_rng(0).normal(size=(5, 3))
    points[1, 0] = points[0, 0]  # the second column decides
    assert fingerprint(of_points(points)) == fingerprint(of_points(points[[3, 1, 4, 0, 2]]))
    assert fingerprint(of_points([[0.0, 1.0]])) == fingerprint(of_points([[-0.0, 1.0]]))
    assert fingerprint(of_points(points)) != fingerprint(of_points(points + [0, 0, 1e-15]))
    swapped = points.copy()
    swapped[[0, 2], 1] = points[[2, 0], 1]  # columns alone are not what counts
    assert fingerprint(of_points(points)) != fingerprint(of_points(swapped))


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_start_that_begins_as_the_best_one_did_is_not_run(layout, iris, noting):
    several = GaussianMixture(2, covariance_type=layout, n_init=5, random_state=0)
    heard = noting(several)
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # it was reached five times
        several.fit(iris)
    assert heard.stopped_early == [""] + ["begins where start 0 did"] * 4
    assert heard.n_iter == several.n_iter_
    assert_same_bits(several, fit(GaussianMixture(2, covariance_type=layout, random_state=0), iris))


def test_supplied_parameters_are_run_once(iris, noting):
    start = {"weights_init": [0.4, 0.6], "means_init": iris[[0, 100]], "precisions_init": np.ones((2, 4))}
    several = GaussianMixture(2, covariance_type="diag", n_init=4, **start)
    heard = noting(several)
    several.fit(iris)
    assert heard.n_iter == several.n_iter_
    assert len(heard.fits) == 4


# --- the warning ---


def test_a_winner_that_was_found_once_is_told_of():
    assert found_once([-3.0, -2.0, -2.5, -4.0], 1e-3) == (
        "only one of 4 starts reached the lower bound -2; the second best came to -2.5, 0.5 below. More starts may find a "
        "better one: raise n_init, or try another init_params, such as 'auto'"
    )
    assert found_once([-3.0, -2.0, -2.0 - 0.0099], 1e-3) == ""
    assert found_once([-3.0, -2.0, -2.0 - 0.0101], 1e-3) != ""
    assert found_once([-3.0, -2.0, -2.0 - 1e-7], 0.0) == ""  # at tol=0 nothing is the same to the bit
    assert found_once([-3.0, -2.0], 1e-3) == ""  # two say nothing
    assert found_once([-2.0], 1e-3) == ""
    assert found_once([-np.inf] * 4, 1e-3) == ""


def lottery(**arguments: Any) -> tuple[GaussianMixture, Any]:
    """Twelve components where there are five: every start ends elsewhere."""
    return model(**{"n_components": 12, "tol": 1e-4, "max_iter": 500, "random_state": 1, **arguments}), overlapping(600)


def test_the_warning_of_a_fit():
    estimator, X = lottery()
    with pytest.warns(
        fastgmm.LocalOptimumWarning,
        match=r"only one of 6 starts reached the lower bound -.*second best came to .* below",
    ) as record:
        estimator.fit(X)
    assert [w.filename for w in record] == [__file__]
    assert not issubclass(record[0].category, sklearn.exceptions.ConvergenceWarning)  # which others turn into an error
    assert record[0].category.__mro__[1] is UserWarning
    assert estimator.converged_


@pytest.mark.parametrize("arguments", [{"n_init": 1}, {"n_init": 2}, {"max_iter": 0}])
def test_no_warning_where_nothing_can_be_said(arguments):
    estimator, X = lottery(**arguments)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        estimator.fit(X)


def test_no_warning_of_a_fit_that_goes_on_and_one_warning_where_it_did_not_converge():
    estimator, X = lottery(warm_start=True)
    fit(estimator, X)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        estimator.fit(X)
    estimator, X = lottery(max_iter=3)
    with pytest.warns(fastgmm.ConvergenceWarning, match="did not converge") as record:
        estimator.fit(X)
    assert len(record) == 1


# --- what else a fit can be ---


def hard(n: int, **arguments: Any) -> tuple[GaussianMixture, Any]:
    """A fit in which starts are stopped early."""
    return model(random_state=1, max_iter=120, **arguments), overlapping(n, 1)


@pytest.mark.parametrize("n", [400, 1500])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_resuming_from_any_checkpoint_gives_the_same_bits_and_warning(n, layout, tmp_path, monkeypatch, noting):
    path, files = tmp_path / "c.npz", []
    write, best = checkpoints.Checkpoint.write, Fit.best

    def keeping(self: checkpoints.Checkpoint, position: Any) -> None:
        write(self, position)
        files.append(path.read_bytes())

    estimator, X = hard(n, covariance_type=layout)
    heard = noting(estimator)
    with monkeypatch.context() as patch, limited_to(call_flops=1.5e6):  # some iterations a call
        patch.setattr(checkpoints.Checkpoint, "write", keeping)
        fit(estimator, X, checkpoint=path, checkpoint_every=0)
    assert_same_bits(fit(hard(n, covariance_type=layout)[0], X), estimator)
    ends = [found.lower_bound for found in heard.fits]
    for content in files[:: max(1, len(files) // 4)]:
        path.write_bytes(content)
        again, _ = hard(n, covariance_type=layout)
        more = noting(again)
        seen: list = []
        with monkeypatch.context() as patch:
            patch.setattr(Fit, "best", lambda self, s=seen: (s.append(self), best(self))[1])
            fit(again, X, checkpoint=path)
        assert_same_bits(again, estimator)
        assert [list(running.at.final_bounds) for running in seen] == [ends]
        assert more.stopped_early == heard.stopped_early[len(heard.fits) - len(more.fits) :]


def test_starts_of_those_checkpoints_are_stopped_early(noting):
    for n in (400, 1500):
        estimator, X = hard(n)
        heard = noting(estimator)
        fit(estimator, X)
        assert any("cannot reach" in text for text in heard.stopped_early)


def test_ctrl_c_after_a_start_was_stopped_early_keeps_the_best(monkeypatch, noting, tmp_path):
    estimator, X = hard(1500)
    heard = noting(estimator)
    fit(estimator, X)
    first = next(i for i, text in enumerate(heard.stopped_early) if text)
    if first == 5:
        pytest.fail("the last one: choose other data")
    whole = heard.fits
    best = max(whole[: first + 1], key=lambda found: found.lower_bound)

    def stopping(running: Fit, n_iter: int, *_: float) -> None:
        if running.at.start == first + 1 and n_iter == 3:
            raise KeyboardInterrupt

    stopped, _ = hard(1500)
    path = tmp_path / "c.npz"
    with monkeypatch.context() as patch:
        during_fits(patch, "iteration", stopping)
        with pytest.raises(KeyboardInterrupt, match=rf"in start {first + 2} of 6, .*keeps those of start"):
            fit(stopped, X, checkpoint=path)
    assert stopped.lower_bounds_ == best.lower_bounds
    assert_same_bits(fit(hard(1500)[0], X, checkpoint=path), estimator)


def test_weights_chunks_and_threads_make_no_difference(noting):
    estimator, X = hard(1500)
    weights = np.random.default_rng(0).integers(1, 3, size=len(X)).astype(float)
    heard = noting(estimator)
    fit(estimator, X, sample_weight=weights)
    assert any(heard.stopped_early)
    for given, arguments in ((chunks([X[:700], X[700:]]), {}), (X, {"n_threads": 1})):
        other, _ = hard(1500, **arguments)
        fit(other, given, sample_weight=weights)
        assert_same_bits(other, estimator)


def test_batches_are_not_stopped_early(noting):
    estimator, X = hard(1500)
    heard = noting(estimator.set_params(max_iter=30))
    with warnings.catch_warnings():
        warnings.simplefilter("error", fastgmm.ConvergenceWarning)
        warnings.filterwarnings("ignore", message=".*did not converge")
        estimator.fit(X, batch_size=300)
    assert heard.stopped_early == [""] * 6


def test_dask_stops_early_as_memory_does(noting):
    da = pytest.importorskip("dask.array")
    estimator, X = hard(1500)
    heard = noting(estimator)
    fit(estimator, X)
    other, _ = hard(1500)
    told = noting(other)
    fit(other, da.from_array(X, chunks=(500, 2)))
    assert [found.n_iter for found in told.fits] == [found.n_iter for found in heard.fits]
    assert other.lower_bound_ == pytest.approx(estimator.lower_bound_, rel=1e-9)


def test_what_is_printed(capsys, monkeypatch, iris):
    estimator, X = hard(1500)
    fit(estimator.set_params(verbose=2, verbose_interval=1000), X, progress=True)
    out, err = capsys.readouterr()
    assert " iterations: cannot reach the bound -" in out
    assert ", stopped early after " in err
    GaussianMixture(2, n_init=2, verbose=1, random_state=0).fit(iris)
    assert "  stopped early after 0 iterations: begins where start 0 did\n" in capsys.readouterr().out


# --- damaged checkpoints ---


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"final_bounds": np.zeros(1)}, "final_bounds are not the bounds of the starts before"),
        ({"final_bounds": np.full(1, np.nan)}, "final_bounds are not the bounds"),
        ({"final_bounds": np.zeros(2)}, "final_bounds are not the bounds"),
        ({"final_bounds": np.zeros((), np.float32)}, "final_bounds are not the bounds"),
        ({"final_bounds": None}, "it lacks entries or holds unknown ones: 'final_bounds'"),
        ({"header": {"fingerprint": 3}}, "its header holds the fingerprints 3 and"),
        ({"header": {"best_fingerprint": None}}, "its header holds the fingerprints .* and None"),
    ],
)
def test_damage_is_refused(changes, message, tmp_path, monkeypatch):
    path: Path = tmp_path / "c.npz"
    estimator, X = hard(1500)

    def stopping(running: Fit, *_: float) -> None:
        if running.at.start == 1:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        during_fits(patch, "iteration", stopping)
        with pytest.raises(KeyboardInterrupt):
            fit(estimator, X, checkpoint=path)
    np.savez(path, **edited(dict(np.load(path)), changes))
    with pytest.raises(ValueError, match=message):
        fit(hard(1500)[0], X, checkpoint=path)
