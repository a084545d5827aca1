"""`BayesianGaussianMixture`: all that a mixture does besides what scikit-learn's does, and its errors."""

from __future__ import annotations

import copy
import pickle
import warnings
from functools import partial

import dask
import dask.array
import numpy as np
import pytest
from conftest import fit
from kit import during_fits
from numpy.testing import assert_allclose, assert_array_equal

import fastgmm
from fastgmm import BayesianGaussianMixture, GaussianMixture, chunks
from fastgmm.cli import main

TYPES = ["full", "tied", "diag", "spherical"]
KINDS = ["dirichlet_process", "dirichlet_distribution"]
each_type = pytest.mark.parametrize("covariance_type", TYPES)
each_kind = pytest.mark.parametrize("kind", KINDS)


def blobs(n=400, d=2, seed=0):
    """Three clusters."""
    rng = np.random.default_rng(seed)
    centres = 6.0 * np.eye(3)[:, :d] - 2.0
    return centres[rng.integers(3, size=n)] + rng.normal(size=(n, d))


def model(covariance_type="full", kind="dirichlet_process", **arguments):
    defaults = {"n_components": 5, "random_state": 0, "max_iter": 30, "covariance_type": covariance_type}
    return BayesianGaussianMixture(**{**defaults, "weight_concentration_prior_type": kind, **arguments})


def fitted(X=None, covariance_type="full", kind="dirichlet_process", **arguments):
    return fit(model(covariance_type, kind, **arguments), blobs() if X is None else X)


def assert_same(one, other):
    """Every attribute, to the bit and of the same type."""
    ours, theirs = vars(one), vars(other)
    assert ours.keys() == theirs.keys()
    for name, value in ours.items():
        assert type(value) is type(theirs[name]), name
        if name == "_averages":
            continue
        assert_array_equal(value, theirs[name], err_msg=name)


# --- what it finds ---


@each_kind
def test_components_that_are_not_needed_end_with_next_to_no_weight(kind):
    found = fitted(kind=kind, n_components=8, weight_concentration_prior=1e-3, max_iter=500, tol=1e-6)
    assert (found.weights_ > 0.05).sum() == 3
    assert found.weights_.sum() == pytest.approx(1.0)
    assert np.sort(found.weights_)[:-3].sum() < 0.02


def test_no_warning_of_components_without_samples():
    with warnings.catch_warnings():
        warnings.simplefilter("error", fastgmm.DegenerateWarning)
        fitted(n_components=8, weight_concentration_prior=1e-3)


@pytest.mark.parametrize("init_params", ["whitened", "hierarchical", "em-em", "auto"])
@each_type
def test_all_starts(covariance_type, init_params):
    found = fitted(covariance_type=covariance_type, init_params=init_params, n_components=3, max_iter=500, tol=1e-4)
    assert found.converged_
    assert (np.diff(found.lower_bounds_) > -1e-7).all()


@each_type
def test_known_groups_and_responsibilities(covariance_type):
    X = blobs()
    labels = (X[:, 0] > 0).astype(int)
    one = fitted(X, covariance_type, n_components=2, init_params=labels)
    other = fitted(X, covariance_type, n_components=2, init_params=np.eye(2)[labels])
    assert_allclose(one.means_, other.means_, rtol=1e-10)


def test_several_starts_of_many_samples_are_screened():
    X = blobs(90_000)
    found = fitted(X, n_init=3, max_iter=5, init_params="random_from_data")
    assert found.n_iter_ == 5
    again = fitted(X, n_init=3, max_iter=5, init_params="random_from_data", n_threads=1)
    assert_array_equal(found.means_, again.means_)


@pytest.mark.parametrize("acceleration", ["squarem", "over-relaxation"])
@each_kind
def test_acceleration_takes_fewer_passes_to_as_high_a_bound(kind, acceleration):
    X = np.random.default_rng(0).normal(size=(3000, 2)) + 1.5 * np.random.default_rng(1).integers(2, size=(3000, 1))
    arguments = {"n_components": 2, "max_iter": 5000, "tol": 1e-4}
    plain = fitted(X, kind=kind, **arguments)
    fast = fitted(X, kind=kind, acceleration=acceleration, **arguments)
    assert fast.converged_
    assert fast.lower_bound_ >= plain.lower_bound_ - 1e-2
    assert fast.n_passes_ < 0.7 * plain.n_passes_


def test_scores_are_below_the_density_of_the_expected_mixture():
    X, found = blobs(), fitted()
    expected = GaussianMixture.from_parameters(found.weights_, found.means_, found.covariances_)
    assert found.score(X) < expected.score(X)
    assert expected.bic(X) > 0


@pytest.mark.parametrize("name", ["bic", "aic", "icl"])
def test_there_are_no_criteria_of_a_maximum(name):
    found = fitted()
    assert not hasattr(found, name)
    with pytest.raises(AttributeError, match=rf"has no {name}, .* compare models by lower_bound_"):
        getattr(found, name)


# --- weights, files, chunks, Dask, threads ---


@each_kind
@each_type
def test_weights_are_repeated_rows(covariance_type, kind):
    X, times = blobs(200), np.random.default_rng(1).integers(0, 5, size=200)
    labels = (X[:, 0] > 0).astype(int)
    make = partial(model, covariance_type, kind, n_components=2)
    one = fit(make(init_params=labels), X, sample_weight=times)
    other = fit(make(init_params=np.repeat(labels, times)), np.repeat(X, times, axis=0))
    assert one.n_iter_ == other.n_iter_
    assert_allclose(one.lower_bound_, other.lower_bound_, rtol=1e-9)
    for name in ("means_", "covariances_", "mean_precision_", "degrees_of_freedom_", "covariance_prior_"):
        assert_allclose(getattr(one, name), getattr(other, name), rtol=1e-7, atol=1e-9, err_msg=name)


@each_type
def test_equal_weights_are_as_many_samples(covariance_type):
    """Whatever their unit: the start from single samples counts each of these once."""
    X = blobs(200)
    one, other = (
        fit(model(covariance_type, init_params="k-means++"), X, sample_weight=weights)
        for weights in (np.full(200, 4.0), np.r_[np.full(199, 4.0), 4.0000001])
    )
    assert_allclose(one.lower_bounds_, other.lower_bounds_, rtol=1e-6)


def test_the_scale_of_weights_is_a_number_of_samples():
    X = blobs()
    few = fit(model(), X, sample_weight=np.full(400, 0.2))
    many = fit(model(), X, sample_weight=np.full(400, 20.0))
    assert few.degrees_of_freedom_.sum() == pytest.approx(5 * 2 + 80)
    assert many.degrees_of_freedom_.sum() == pytest.approx(5 * 2 + 8000)


def test_weights_that_are_shares_are_warned_of():
    with pytest.warns(
        UserWarning, match="adds up to 1 for 400 samples of positive weight, and the prior uses that as the number"
    ):
        fit(model(), blobs(), sample_weight=np.full(400, 1 / 400))


@each_kind
@each_type
def test_the_same_bits_from_memory_chunks_files_and_threads(covariance_type, kind, limits, tmp_path):
    X = blobs(3000, 3)
    weights = np.random.default_rng(2).uniform(0.5, 2.0, size=3000)
    # known groups: other starts are found from a sample of data that are larger than memory
    make = partial(model, covariance_type, kind, n_components=3, init_params=np.arange(3000) % 3)
    np.save(tmp_path / "X.npy", X)
    limits(block_bytes=20_000, loaded=10_000_000)
    here = fit(make(), X, sample_weight=weights)
    limits(loaded=10_000)
    others = {"one thread": (make(n_threads=1), X)}
    others["chunks"] = make(), chunks(np.array_split(X, 5))
    others["file"] = make(), tmp_path / "X.npy"
    others["memmap"] = make(), np.load(tmp_path / "X.npy", mmap_mode="r")
    for name, (other, data) in others.items():
        fit(other, data, sample_weight=weights)
        for attribute in ("means_", "covariances_", "lower_bounds_", "weights_", "mean_precision_"):
            expected = getattr(here, attribute)
            assert_array_equal(getattr(other, attribute), expected, err_msg=f"{name}: {attribute}")


@each_type
def test_dask(covariance_type):
    X = blobs(2000, 3)
    data = dask.array.from_array(X, chunks=(600, 3))
    with dask.config.set(scheduler="synchronous"):
        there = fit(model(covariance_type), data)
        labels = there.predict(data)
        here = fit(model(covariance_type), X)
        assert_allclose(there.lower_bound_, here.lower_bound_, rtol=1e-9)
        assert_allclose(there.covariance_prior_, here.covariance_prior_, rtol=1e-9)
        assert_array_equal(labels.compute(), here.predict(X))


# --- streams ---


def whole(found):
    """The weight that a posterior has seen."""
    return (found.mean_precision_ - found.mean_precision_prior_).sum()


@each_kind
@each_type
def test_a_stream_of_batches_comes_near_the_fit_of_all(covariance_type, kind):
    X = blobs(20_000)
    arguments = {"n_components": 3}
    stream = model(covariance_type, kind, **arguments)
    for batch in np.array_split(X, 20):
        stream.partial_fit(batch)
    at_once = fit(model(covariance_type, kind, max_iter=200, **arguments), X)
    assert stream.score(X) > at_once.score(X) - 0.01
    assert whole(stream) == pytest.approx(20_000, rel=1e-9)
    assert stream.n_iter_ == 20
    assert_allclose(stream.mean_prior_, X[:1000].mean(axis=0))  # the prior of the first batch


def test_a_weight_in_a_stream_counts_as_so_many_samples():
    X = blobs(3000)
    stream = model(n_components=3)
    for batch in np.array_split(X, 3):
        stream.partial_fit(batch, sample_weight=np.full(1000, 2.5))
    assert whole(stream) == pytest.approx(7500)


@each_type
def test_a_stream_goes_on_from_a_fit_that_weighs_its_samples(covariance_type):
    X = blobs(6000)
    found = fit(model(covariance_type, n_components=3), X[:4000])
    means = found.means_.copy()
    found.partial_fit(X[4000:])
    assert whole(found) == pytest.approx(6000, rel=1e-6)
    assert 0 < np.abs(found.means_ - means).max() < 0.5


def test_one_batch_after_a_fit_moves_it_by_its_share():
    """The first batch weighs as the samples of the fit do, times the step size."""
    X = blobs(4000)
    found = fit(model(n_components=1, learning_offset=0.0), X[:3000])
    found.partial_fit(X[3000:])
    at_once = fit(model(n_components=1, covariance_prior=found.covariance_prior_, mean_prior=found.mean_prior_), X)
    assert_allclose(found.means_, at_once.means_, rtol=1e-6)
    assert_allclose(found.covariances_, at_once.covariances_, rtol=1e-4)


@each_type
def test_batches_of_known_data(covariance_type):
    X = blobs(20_000)
    found = fit(model(covariance_type, n_components=3), X, batch_size=500)
    at_once = fit(model(covariance_type, n_components=3, max_iter=200), X)
    assert whole(found) == pytest.approx(20_000, rel=1e-9)  # not so many for each epoch
    assert found.score(X) > at_once.score(X) - 0.01
    assert found.lower_bound_ == pytest.approx(at_once.lower_bound_, rel=1e-3)


# --- kept: files, pickles, checkpoints ---


@pytest.mark.parametrize("streamed", [False, True])
@each_kind
@each_type
def test_files_and_pickles_hold_all_of_it(covariance_type, kind, streamed, tmp_path):
    X = blobs()
    found = model(covariance_type, kind, mean_prior=np.array([0.5, 1.0]))
    found = found.partial_fit(X) if streamed else fit(found, X)
    found.save(tmp_path / "model.npz")
    loaded = fastgmm.load(tmp_path / "model.npz")
    assert isinstance(loaded, BayesianGaussianMixture)
    assert_same(loaded, found)
    for other in (loaded, pickle.loads(pickle.dumps(found)), copy.deepcopy(found)):
        assert_array_equal(other.score_samples(X), found.score_samples(X))
        other.partial_fit(X[:50])
    expected = copy.deepcopy(found).partial_fit(X[:50])
    assert_same(fastgmm.load(tmp_path / "model.npz").partial_fit(X[:50]), expected)


def test_priors_that_are_arrays_or_numbers_are_in_files(tmp_path):
    given = {"covariance_prior": 2.0, "mean_prior": [0.0, 1.0], "degrees_of_freedom_prior": 3.5}
    fitted(covariance_type="spherical", **given).save(tmp_path / "s.npz")
    loaded = fastgmm.load(tmp_path / "s.npz")
    assert loaded.covariance_prior == 2.0
    assert_array_equal(loaded.mean_prior, [0.0, 1.0])
    fitted(covariance_type="diag", covariance_prior=[1.0, 2.0]).save(tmp_path / "d.npz")
    assert_array_equal(fastgmm.load(tmp_path / "d.npz").covariance_prior, [1.0, 2.0])


@pytest.mark.parametrize("acceleration", [None, "squarem"])
@each_kind
@each_type
def test_checkpoints_resume_to_the_same_bits(covariance_type, kind, acceleration, tmp_path):
    X, path = blobs(), tmp_path / "state.npz"
    make = partial(model, covariance_type, kind, n_init=2, init_params="random", tol=0.0, acceleration=acceleration)
    expected = fit(make(), X)
    resumed = 0
    for stop in (1, 7, 20, 40):
        calls = [0]

        def stopping(of, *arguments, calls=calls, stop=stop):
            calls[0] += 1
            if calls[0] == stop:
                raise KeyboardInterrupt

        with pytest.MonkeyPatch.context() as patch:
            during_fits(patch, "reached", stopping)
            try:
                fit(make(), X, checkpoint=path)
            except KeyboardInterrupt:
                assert path.exists()
                resumed += 1
        assert_same(fit(make(), X, checkpoint=path), expected)
    assert resumed >= 3


def test_a_checkpoint_of_another_prior_is_refused(tmp_path):
    X, path = blobs(), tmp_path / "state.npz"
    with pytest.MonkeyPatch.context() as patch:

        def stop(*arguments):
            raise KeyboardInterrupt

        during_fits(patch, "reached", stop)
        with pytest.raises(KeyboardInterrupt):
            fit(model(), X, checkpoint=path)
    with pytest.raises(
        ValueError, match=r"checkpoint of another fit: weight_concentration_prior was None and is 0.5 now"
    ):
        fit(model(weight_concentration_prior=0.5), X, checkpoint=path)


def test_ctrl_c_keeps_the_posterior_so_far():
    found = model(max_iter=20)
    with pytest.MonkeyPatch.context() as patch:
        calls = [0]

        def stop(*arguments):
            calls[0] += 1
            if calls[0] == 5:
                raise KeyboardInterrupt

        during_fits(patch, "reached", stop)
        with pytest.raises(KeyboardInterrupt, match="the model keeps the parameters that it had come to"):
            fit(found, blobs())
    assert found.n_iter_ == 5
    assert_array_equal(found.means_, fitted(max_iter=5).means_)
    assert_array_equal(found.mean_precision_, fitted(max_iter=5).mean_precision_)


@each_type
def test_plots(covariance_type):
    figures = pytest.importorskip("matplotlib.figure")
    found = fitted(covariance_type=covariance_type)
    artists = fastgmm.plotting.plot_mixture(found, blobs(), ax=figures.Figure())
    # components that no sample needs have the ellipse of their prior, which would hide the others
    needed = int((found.mean_precision_ - found.mean_precision_prior_ >= 1).sum())
    assert len(artists.means) == needed
    assert len(artists.ellipses) == 2 * needed


def test_plots_leave_out_what_no_sample_needs():
    figures = pytest.importorskip("matplotlib.figure")
    X = np.random.default_rng(0).normal(size=(300, 2))
    found = BayesianGaussianMixture(
        n_components=6, weight_concentration_prior=1e-3, max_iter=500, init_params="random", random_state=0
    ).fit(X)
    needed = np.flatnonzero(300 * found.weights_ >= 1)
    assert len(needed) < 6
    artists = fastgmm.plotting.plot_mixture(found, X, ax=figures.Figure())
    assert len(artists.ellipses) == 2 * len(needed)


def test_a_notebook_shows_it():
    assert "5 components of 2 features" in fitted()._repr_html_()
    assert repr(BayesianGaussianMixture(n_components=2)) == "BayesianGaussianMixture(n_components=2)"


# --- attributes without a fit ---


@each_kind
@each_type
def test_parameters_that_programs_assign(covariance_type, kind):
    X, found = blobs(), fitted(covariance_type=covariance_type, kind=kind)
    other = model(covariance_type, kind)
    other._set_parameters(found._get_parameters())
    assert_allclose(other.score_samples(X), found.score_samples(X), rtol=1e-12)
    assert_allclose(other.weights_, found.weights_, rtol=1e-12)
    with pytest.raises(ValueError, match=r"has no weight_concentration_prior_, .* fit it again"):
        other.save("nowhere.npz")


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        (
            "mean_precision_",
            np.ones(3),
            r"mean_precision_ must be positive and have the shape \(5,\) for 5 means, got \(3,\)",
        ),
        ("weight_concentration_", np.zeros(5), r"weight_concentration_ must be positive"),
        ("degrees_of_freedom_", -1.0, r"degrees_of_freedom_ must be positive and have the shape \(5,\)"),
    ],
)
def test_attributes_that_do_not_fit_each_other(name, value, message):
    found = fitted()
    setattr(found, name, value)
    with pytest.raises(ValueError, match=message):
        found.predict(blobs())


def test_a_posterior_that_lacks_a_part():
    found = fitted()
    del found.mean_precision_
    with pytest.raises(fastgmm.NotFittedError, match=r"has no mean_precision_: it needs weight_concentration_"):
        found.predict(blobs())


# --- what bad input gets ---

FULL = np.array([[2.0, 0.1], [0.1, 1.0]])


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"covariance_type": "VVV"}, ValueError, r"covariance_type must be one of 'full', 'tied', 'diag', 'spherical'"),
        (
            {"weight_concentration_prior_type": "dirichlet"},
            ValueError,
            r"weight_concentration_prior_type must be one of",
        ),
        (
            {"weight_concentration_prior": 0.0},
            ValueError,
            r"weight_concentration_prior must be a finite number above 0",
        ),
        ({"weight_concentration_prior": -1}, ValueError, r"weight_concentration_prior must be .*above 0, got .*-1"),
        ({"weight_concentration_prior": "1"}, TypeError, r"weight_concentration_prior must be a number above 0"),
        ({"mean_precision_prior": 0}, ValueError, r"mean_precision_prior must be a finite number above 0"),
        ({"mean_precision_prior": np.inf}, ValueError, r"mean_precision_prior must be a finite number above 0"),
        ({"mean_prior": [1.0]}, ValueError, r"mean_prior' should have the shape of \(2,\)"),
        ({"mean_prior": [1.0, np.nan]}, ValueError, r"mean_prior"),
        (
            {"degrees_of_freedom_prior": 1.0},
            ValueError,
            r"degrees_of_freedom_prior must be above n_features - 1 = 1, got 1",
        ),
        ({"degrees_of_freedom_prior": -2.0}, ValueError, r"degrees_of_freedom_prior must be a finite number above 0"),
        (
            {"covariance_prior": np.eye(3)},
            ValueError,
            r"covariance_prior' should have the shape of \(2, 2\), .* for covariance_type='full'",
        ),
        (
            {"covariance_prior": [[1.0, 2.0], [2.0, 1.0]]},
            ValueError,
            r"covariance_prior should be symmetric, positive-definite",
        ),
        ({"covariance_prior": [[1.0, 2.0], [0.0, 9.0]]}, ValueError, r"covariance_prior should be symmetric"),
        ({"covariance_prior": FULL, "covariance_type": "diag"}, ValueError, r"covariance_prior"),
        (
            {"covariance_prior": [1.0, -1.0], "covariance_type": "diag"},
            ValueError,
            r"covariance_prior should be positive",
        ),
        ({"covariance_prior": 0.0, "covariance_type": "spherical"}, ValueError, r"covariance_prior must be .*above 0"),
        ({"covariance_prior": FULL, "covariance_type": "spherical"}, TypeError, r"covariance_prior must be a number"),
        ({"init_params": "best"}, ValueError, r"init_params must be one of"),
    ],
)
def test_bad_arguments_are_named_and_nothing_changes(arguments, error, message):
    found = fitted()
    before = copy.deepcopy(vars(found))
    found.set_params(**arguments)
    with pytest.raises(error, match=message):
        found.fit(blobs())
    for name, value in before.items():
        if name not in arguments:
            assert_array_equal(vars(found)[name], value, err_msg=name)


def test_data_without_a_variance_in_some_direction():
    X = np.column_stack([blobs()[:, 0], np.zeros(400)])
    labels = np.zeros(400, int)
    with pytest.raises(ValueError, match=r"component 0, .* not positive definite .* Pass covariance_prior"):
        BayesianGaussianMixture(n_components=2, init_params=np.eye(2)[labels] * 0.999999 + 5e-7, reg_covar=0).fit(X)
    found = fit(model(covariance_prior=np.eye(2)), X)
    assert np.isfinite(found.covariances_).all()


# --- the command line ---


def test_the_command_line(tmp_path, capsys, monkeypatch):
    import json

    monkeypatch.chdir(tmp_path)
    np.savetxt("data.csv", blobs(), delimiter=",")
    arguments = ["fit", "data.csv", "-k", "6", "--bayesian", "--concentration", "0.001", "-o", "m.npz", "--json"]
    assert main([*arguments, "--weight-prior", "distribution", "--labels", "l.csv"]) == 0
    summary = json.loads(capsys.readouterr().out)
    assert summary["bic"] is None
    loaded = fastgmm.load("m.npz")
    assert loaded.weight_concentration_prior_type == "dirichlet_distribution"
    assert loaded.weight_concentration_prior == 0.001
    assert summary["lower_bound"] == loaded.lower_bound_
    for command in (["info", "m.npz"], ["score", "m.npz", "data.csv"], ["predict", "m.npz", "data.csv"]):
        assert main(command) == 0
    text = capsys.readouterr().out
    assert "BayesianGaussianMixture, 6 components" in text
    assert "BIC" not in text
    assert main(["fit", "data.csv", "-k", "3", "--bayesian"]) == 0
    assert "lower bound" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--concentration", "0.1"], "--concentration needs --bayesian"),
        (["--weight-prior", "process"], "--weight-prior needs --bayesian"),
        (["--bayesian", "--noise"], "--noise is for maximum likelihood"),
        (["--bayesian", "--prior", "default"], "--prior is for maximum likelihood"),
        (["--bayesian", "--on-collapse", "reset"], "--on-collapse is for maximum likelihood"),
        (["--bayesian", "--concentration", "0"], "it must be a number above 0"),
        (["--bayesian", "--weight-prior", "beta"], "unknown prior of the weights 'beta'"),
        (["--bayesian", "--covariance", "VEV"], "--covariance must be one of 'full'"),
    ],
)
def test_options_that_do_not_go_together(options, message, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    np.savetxt("data.csv", blobs(), delimiter=",")
    assert main(["fit", "data.csv", "-k", "2", *options]) == 2
    assert message in capsys.readouterr().err
