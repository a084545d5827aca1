"""Mixtures of values that were measured with known errors."""

from __future__ import annotations

import warnings

import dask
import dask.array as da
import naive
import numpy as np
import pytest
from kit import stop_at
from numpy.testing import assert_allclose, assert_array_equal

import fastgmm
from fastgmm import BayesianGaussianMixture, GaussianMixture

#: BIC of a published demonstration (XDGMM, T. W.-S. Holoien, P. J. Marshall and R. H. Wechsler, Astron. J. 153:249, 2017), whose EM
#: ends early for more than one component.
BIC = [17315.92, 16130.58, 15886.99, 15852.10, 15845.49]


def measured(n=600, seed=0):
    """Return values of two clusters with errors, the covariances of the errors, and the labels."""
    rng = np.random.RandomState(seed)
    z = rng.randint(2, size=n)
    values = np.array([[0.0, 0.0], [3.0, 2.0]])[z] + rng.standard_normal((n, 2)) @ np.array([[0.5, 0.2], [0.0, 0.3]])
    A = 0.7 * rng.standard_normal((n, 2, 2))
    return values + np.einsum("nij,nj->ni", A, rng.standard_normal((n, 2))), A @ np.swapaxes(A, 1, 2), z


def curve():
    """Return the data of the demonstration: points along a curve (Z. Ivezic et al., Statistics, Data Mining, and Machine Learning
    in Astronomy, figure 6.11)."""
    rng, n = np.random.RandomState(0), 2000
    x = (1.4 + 2 * rng.random_sample(n)) ** 2
    y, dx, dy = 0.1 * x**2, 0.1 + 4.0 / x**2, 0.1 + 10.0 / x**2
    x, y = x + rng.normal(0, dx, n), y + rng.normal(0, dy, n)
    dx, dy = 0.2 + 0.5 * rng.random_sample(n), 0.2 + 0.5 * rng.random_sample(n)
    return np.c_[x + rng.normal(0, dx), y + rng.normal(0, dy)], np.c_[dx, dy] ** 2


def model(k=2, **options):
    return GaussianMixture(k, **{"random_state": 0, "max_iter": 300, **options})


def test_published_criteria():
    X, S = curve()
    fits = [model(k, tol=1e-6, reg_covar=0, acceleration="auto").fit(X, noise_covariance=S) for k in (1, 2, 3)]
    found = [fit.bic(X, noise_covariance=S) for fit in fits]
    assert found[0] == pytest.approx(BIC[0], abs=5e-3)
    assert found[1] == pytest.approx(16124.70, abs=0.05)
    assert all(one < other + 0.01 for one, other in zip(found, BIC, strict=False))


@pytest.mark.parametrize("structure", ["full", "tied", "diag", "spherical", "EEV", "VEE", "EVI"])
def test_the_likelihood_never_falls_and_is_that_of_the_loop_over_rows(structure):
    X, S, _ = measured(200)
    fit = model(covariance_type=structure, tol=0, max_iter=25)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", fastgmm.ConvergenceWarning)
        fit.fit(X, noise_covariance=S)
    assert np.diff(fit.lower_bounds_).min() > -1e-6  # of `reg_covar`
    layout = {3: "full", 2: "diag", 1: "spherical"}[np.ndim(fit.covariances_)]
    layout = "tied" if structure == "tied" else layout
    log_prob, resp, *_ = naive.incomplete_statistics(X, fit.weights_, fit.means_, fit.covariances_, layout, S)
    assert_allclose(fit.score_samples(X, S), log_prob, rtol=1e-10)
    assert_allclose(fit.predict_proba(X, S), resp, rtol=1e-8, atol=1e-12)
    assert_array_equal(fit.predict(X, S), resp.argmax(axis=1))
    assert_allclose(fit.score(X, noise_covariance=S), log_prob.mean())
    assert_allclose(fit.aic(X, noise_covariance=S), -2 * log_prob.sum() + 2 * fit._n_parameters())
    penalty = fit._n_parameters() * np.log(len(X)) - 2 * np.log(resp.max(axis=1)).sum()
    assert_allclose(fit.icl(X, noise_covariance=S), -2 * log_prob.sum() + penalty)


def test_the_mixture_is_that_of_the_values_without_errors():
    X, S, _ = measured(20_000)
    fit = model(tol=1e-6).fit(X, noise_covariance=S)
    order = np.argsort(fit.means_[:, 0])
    assert_allclose(fit.means_[order], [[0, 0], [3, 2]], atol=0.05)
    assert_allclose(fit.covariances_[order], np.tile([[0.25, 0.10], [0.10, 0.13]], (2, 1, 1)), atol=0.03)


@pytest.mark.parametrize("structure", ["full", "tied", "diag", "spherical"])
def test_errors_of_zero_give_the_ordinary_fit(structure):
    X, _, _ = measured()
    ordinary = model(covariance_type=structure).fit(X)
    for zero in (np.zeros((len(X), 2)), np.zeros((len(X), 2, 2)), np.zeros(2), np.zeros((2, 2))):
        fit = model(covariance_type=structure).fit(X, noise_covariance=zero)
        assert fit.n_iter_ == ordinary.n_iter_
        assert_allclose(fit.means_, ordinary.means_, rtol=1e-9, atol=1e-11)
        assert_allclose(fit.covariances_, ordinary.covariances_, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("structure", ["full", "tied", "diag"])
def test_errors_in_all_their_shapes(structure):
    X, _, _ = measured()
    variances, matrix = np.array([0.1, 0.3]), np.array([[0.1, 0.05], [0.05, 0.3]])
    for of_each, shared in [(np.tile(variances, (600, 1)), variances), (np.tile(matrix, (600, 1, 1)), matrix)]:
        one = model(covariance_type=structure).fit(X, noise_covariance=of_each)
        for value in (shared, shared.tolist(), shared[None]):
            other = model(covariance_type=structure).fit(X, noise_covariance=value)
            assert_allclose(one.covariances_, other.covariances_, rtol=1e-8)
        assert_allclose(one.score_samples(X[:5], shared), one.score_samples(X[:5], of_each[:5]), rtol=1e-10)
    diagonal = model(covariance_type=structure).fit(X, noise_covariance=np.diag(variances))
    assert_allclose(
        diagonal.covariances_,
        model(covariance_type=structure).fit(X, noise_covariance=variances).covariances_,
        rtol=1e-9,
    )


def test_weights_equal_repeated_samples_and_drop_errors():
    X, S, _ = measured(300)
    counts = np.random.RandomState(1).randint(0, 3, 300)
    start = {
        "means_init": [[0, 0], [3, 2]],
        "weights_init": [0.5, 0.5],
        "precisions_init": np.tile(np.eye(2), (2, 1, 1)),
    }
    broken = S.copy()
    broken[counts == 0] = np.nan  # errors of what does not count may be anything
    weighted = model(**start).fit(X, sample_weight=counts, noise_covariance=broken)
    rows = np.repeat(np.arange(300), counts)
    repeated = model(**start).fit(X[rows], noise_covariance=S[rows])
    assert_allclose(weighted.means_, repeated.means_, rtol=1e-9)
    assert_allclose(weighted.covariances_, repeated.covariances_, rtol=1e-8)
    assert_allclose(
        weighted.score(X, sample_weight=counts, noise_covariance=broken),
        repeated.score(X[rows], noise_covariance=S[rows]),
    )
    labels = model(**start).fit_predict(X, sample_weight=counts, noise_covariance=S)
    assert_array_equal(labels, weighted.predict(X, S))


def test_shift_and_order_do_not_matter():
    X, S, _ = measured(300)
    order = np.random.RandomState(2).permutation(300)
    start = {"weights_init": [0.5, 0.5], "precisions_init": np.tile(np.eye(2), (2, 1, 1))}
    fit = model(**start, means_init=[[0, 0], [3, 2]]).fit(X, noise_covariance=S)
    moved = model(**start, means_init=[[100, -50], [103, -48]]).fit((X + [100, -50])[order], noise_covariance=S[order])
    assert_allclose(moved.means_, fit.means_ + [100, -50], rtol=1e-9)
    assert_allclose(moved.covariances_, fit.covariances_, rtol=1e-7)


def test_the_same_fit_from_memory_files_and_chunks(tmp_path, limits):
    X, S, _ = measured(3000)
    expected = model().fit(X, noise_covariance=S)
    np.save(tmp_path / "X.npy", X)
    np.save(tmp_path / "S.npy", S)
    limits(loaded=1024, block_bytes=1 << 15)
    errors = np.load(tmp_path / "S.npy", mmap_mode="r")
    for data in (
        str(tmp_path / "X.npy"),
        np.load(tmp_path / "X.npy", mmap_mode="r"),
        fastgmm.chunks([X[:1000], X[1000:]]),
    ):
        start = {
            "weights_init": [0.5, 0.5],
            "precisions_init": np.tile(np.eye(2), (2, 1, 1)),
            "means_init": [[0, 0], [3, 2]],
        }
        one = model(**start).fit(data, noise_covariance=errors)
        assert_allclose(one.means_, model(**start).fit(X, noise_covariance=S).means_, rtol=1e-9)
        assert_allclose(one.score(data, noise_covariance=errors), expected.score(X, noise_covariance=S), rtol=1e-3)


def test_float32():
    X, S, _ = measured()
    single = model().fit(X.astype(np.float32), noise_covariance=S)
    assert single.means_.dtype == np.float32
    assert_allclose(single.covariances_, model().fit(X, noise_covariance=S).covariances_, rtol=1e-3, atol=1e-4)
    assert single.score_samples(X.astype(np.float32), S).dtype == np.float32


def test_streams():
    X, S, _ = measured(6000)
    fit = model().fit(X, noise_covariance=S, batch_size=500)
    stream = model()
    for start in range(0, 6000, 300):
        stream.partial_fit(X[start : start + 300], noise_covariance=S[start : start + 300])
    best = model().fit(X, noise_covariance=S).score(X, noise_covariance=S)
    with_errors = model().fit(X).score(X, noise_covariance=S)
    assert fit.score(X, noise_covariance=S) > best - 0.01
    # each batch brings a step of EM, of which errors of this size take many
    assert stream.score(X, noise_covariance=S) > 0.5 * (best + with_errors)
    weights = np.random.RandomState(0).randint(0, 2, 6000)
    model().fit(X, sample_weight=weights, noise_covariance=S, batch_size=500)


def test_missing_values_and_errors():
    X, S, _ = measured(400)
    rng = np.random.RandomState(3)
    X[rng.uniform(size=X.shape) < 0.15] = np.nan
    X = X[~np.isnan(X).all(axis=1)]
    S = S[: len(X)].copy()
    complete = S.copy()
    S[np.isnan(X)[:, :, None] | np.isnan(X)[:, None, :]] = np.nan  # errors of what was not measured may be anything
    fit = model(missing_values="marginalize").fit(X, noise_covariance=S)
    log_prob, resp, *_ = naive.incomplete_statistics(X, fit.weights_, fit.means_, fit.covariances_, "full", complete)
    assert np.diff(fit.lower_bounds_).min() > -1e-6
    assert_allclose(fit.score_samples(X, S), log_prob, rtol=1e-10)
    assert_allclose(fit.predict_proba(X, S), resp, rtol=1e-8, atol=1e-12)
    shared = model(missing_values="marginalize").fit(X, noise_covariance=[0.1, 0.2])
    each = model(missing_values="marginalize").fit(X, noise_covariance=np.tile([0.1, 0.2], (len(X), 1)))
    assert_allclose(shared.means_, each.means_, rtol=1e-10)
    hidden = S.copy()
    hidden[np.flatnonzero(~np.isnan(X[:, 0]))[0], 0, 0] = np.nan
    with pytest.raises(ValueError, match=r"noise_covariance\[\d+, 0, 0\] is nan: errors must be finite"):
        model(missing_values="marginalize").fit(X, noise_covariance=hidden)


@pytest.mark.parametrize(
    "options",
    [
        {"acceleration": "squarem"},
        {"n_init": 3},
        {"prior": "default"},
        {"noise": True},
        {"on_collapse": "reset"},
        {"init_params": "auto"},
        {"init_params": "labels"},
    ],
    ids=lambda options: "-".join(map(str, *options.items())),
)
def test_with_other_options(options):
    X, S, z = measured()
    if options == {"init_params": "labels"}:
        options = {"init_params": z}
    fit = model(**options).fit(X, noise_covariance=S)
    assert_allclose(np.sort(fit.means_[:, 0]), [0, 3], atol=0.15)
    plain = model().fit(X, noise_covariance=S)
    assert fit.score(X, noise_covariance=S) > plain.score(X, noise_covariance=S) - 0.01


def test_variational_fits():
    X, S, _ = measured()
    fit = BayesianGaussianMixture(n_components=5, random_state=0, max_iter=400, tol=1e-4).fit(X, noise_covariance=S)
    bounds = np.array(fit.lower_bounds_)
    assert np.diff(bounds).min() > -1e-6 * abs(bounds[-1])
    assert (fit.weights_ > 0.05).sum() == 2
    assert_allclose(np.sort(fit.means_[fit.weights_ > 0.05, 0]), [0, 3], atol=0.2)


def test_pruned_sweeps_are_said_to_be_dense():
    X, S, _ = measured()
    with pytest.warns(UserWarning, match="no effect here: each sample has errors of its own"):
        model(algorithm="pruned").fit(X, noise_covariance=S)


def test_a_component_may_become_a_point():
    """The errors account for all of the spread: variances without them are as small as `reg_covar` lets them be."""
    rng = np.random.RandomState(0)
    X = np.repeat([[0.0, 0.0], [4.0, 1.0]], 200, axis=0) + 0.5 * rng.standard_normal((400, 2))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fit = model(max_iter=5000, tol=1e-7, acceleration="auto").fit(X, noise_covariance=[0.4, 0.4])
    assert np.linalg.eigvalsh(fit.covariances_).max() < 0.01


def test_checkpoints_know_the_errors(tmp_path):
    X, S, _ = measured()
    path = tmp_path / "fit.npz"
    expected = model(tol=1e-8).fit(X, noise_covariance=S)

    with pytest.MonkeyPatch.context() as patch:
        stop_at(patch, "iteration", 5)
        with pytest.raises(KeyboardInterrupt):
            model(tol=1e-8).fit(X, noise_covariance=S, checkpoint=path, checkpoint_every=0)
    with pytest.raises(ValueError, match="checkpoint"):
        model(tol=1e-8).fit(X, noise_covariance=2.0 * S, checkpoint=path)
    with pytest.raises(ValueError, match="checkpoint"):
        model(tol=1e-8).fit(X, checkpoint=path)
    resumed = model(tol=1e-8).fit(X, noise_covariance=S, checkpoint=path)
    assert_array_equal(resumed.means_, expected.means_)
    assert resumed.n_iter_ == expected.n_iter_


def test_dask_with_shared_errors():
    X, _, _ = measured(900)
    shared = np.array([[0.3, 0.1], [0.1, 0.2]])
    parts = da.from_array(X, chunks=(300, 2))
    start = {
        "weights_init": [0.5, 0.5],
        "precisions_init": np.tile(np.eye(2), (2, 1, 1)),
        "means_init": [[0, 0], [3, 2]],
    }
    with dask.config.set(scheduler="synchronous"):
        fit = model(**start).fit(parts, noise_covariance=shared)
        local = model(**start).fit(X, noise_covariance=shared)
        assert_allclose(fit.covariances_, local.covariances_, rtol=1e-9)
        assert_allclose(fit.score_samples(parts, shared).compute(), local.score_samples(X, shared), rtol=1e-7)
        assert_allclose(fit.score(parts, noise_covariance=shared), local.score(X, noise_covariance=shared))
        with pytest.raises(ValueError, match="but X is distributed, such as a Dask collection: pass errors"):
            model().fit(parts, noise_covariance=np.zeros((900, 2)))
        with pytest.raises(TypeError, match="noise_covariance cannot be a Dask collection: pass an array"):
            model().fit(parts, noise_covariance=da.zeros((900, 2)))


@pytest.mark.parametrize(
    ("value", "error", "message"),
    [
        (0.1, ValueError, r"noise_covariance must hold variances or covariances of errors, shared, \(2,\) or \(2, 2\)"),
        (np.zeros((599, 2)), ValueError, r"or of each sample, \(600, 2\) or \(600, 2, 2\), got the shape \(599, 2\)"),
        (np.zeros((600, 3)), ValueError, r"got the shape \(600, 3\)"),
        (np.full((600, 2), np.nan), ValueError, r"noise_covariance\[0, 0\] is nan: errors must be finite"),
        ([0.1, np.inf], ValueError, r"noise_covariance\[1\] is inf"),
        (
            [0.1, -0.5],
            ValueError,
            r"noise_covariance\[1\] is -0.5, and variances of errors are not negative: pass the squares",
        ),
        (
            [[0.1, 0.2], [0.0, 0.1]],
            ValueError,
            "noise_covariance is not symmetric: entry .0, 1. is 0.2, and .1, 0. is 0",
        ),
        (
            [[0.1, 0.2], [0.2, 0.1]],
            ValueError,
            "noise_covariance is not positive semi-definite .its smallest eigenvalue is -0.1",
        ),
        ([[0.0, 0.2], [0.2, 0.1]], ValueError, "not positive semi-definite"),
        ([["a", "b"]], ValueError, "noise_covariance must hold numbers"),
    ],
)
def test_bad_errors(value, error, message):
    X, _, _ = measured()
    fit = model()
    with pytest.raises(error, match=message):
        fit.fit(X, noise_covariance=value)
    assert not hasattr(fit, "means_")


def test_which_sample_has_bad_errors():
    X, S, _ = measured()
    for place, value, message in [
        ((17, 1, 1), -1.0, r"noise_covariance\[17, 1, 1\] is -1, and variances"),
        ((17, 0, 1), 3.0, r"noise_covariance\[17\] is not symmetric"),
    ]:
        bad = S.copy()
        bad[place] = value
        weights = np.ones(600)
        weights[:5] = 0.0  # rows are counted in the user's array
        with pytest.raises(ValueError, match=message):
            model().fit(X, sample_weight=weights, noise_covariance=bad)
    indefinite = S.copy()
    indefinite[30] = [[1.0, 2.0], [2.0, 1.0]]
    with pytest.raises(ValueError, match=r"noise_covariance\[30\] is not positive semi-definite"):
        model().fit(X, noise_covariance=indefinite)


def test_as_many_samples_as_features():
    X, S, _ = measured()
    fit = model().fit(X, noise_covariance=S)
    with pytest.raises(
        ValueError, match="variances of each of 2 samples or one matrix for all, since there are as many"
    ):
        fit.predict(X[:2], np.eye(2))
    assert_allclose(fit.score_samples(X[:2], np.eye(2)[None]), fit.score_samples(X[:2], np.tile(np.eye(2), (2, 1, 1))))


def test_nothing_of_the_users_is_changed():
    X, S, _ = measured()
    before = X.copy(), S.copy()
    X.flags.writeable = S.flags.writeable = False
    model().fit(X, noise_covariance=S).predict(X, S)
    assert_array_equal(X, before[0])
    assert_array_equal(S, before[1])
