"""Models put together by hand, and programs that put this class in the place of scikit-learn's: its answer, or an error."""

from __future__ import annotations

import html.parser
import pickle
import re
from functools import partial
from typing import Any

import numpy as np
import pytest
from kit import assert_same_fit, blobs
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.mixture import GaussianMixture as Theirs

import fastgmm
from fastgmm import GaussianMixture
from fastgmm.datasets import load_iris
from fastgmm.model.layouts import layout_named

TYPES = ("full", "tied", "diag", "spherical")
X = load_iris().data
ASSIGNED = ("weights_", "means_", "covariances_", "precisions_cholesky_")
METHODS = ("predict", "predict_proba", "score_samples", "score", "bic", "aic")


def theirs_fitted(covariance_type: str, data: np.ndarray = X) -> Theirs:
    return Theirs(3, covariance_type=covariance_type, random_state=0).fit(data)


def by_hand(cls: type, source: Any, names: tuple[str, ...] = ASSIGNED, **arguments: Any) -> Any:
    """A model that was never fitted, with some attributes of another."""
    model = cls(3, covariance_type=source.covariance_type, random_state=0, **arguments)
    for name in names:
        setattr(model, name, getattr(source, name))
    return model


def transposed_factors(model: Any) -> np.ndarray:
    """Lower triangular factors of the precisions, as `np.linalg.cholesky` returns them."""
    if model.covariance_type in ("full", "tied"):
        return np.linalg.cholesky(np.linalg.inv(model.covariances_))
    return model.covariances_**-0.5


# --- attributes that were assigned ---


@pytest.mark.parametrize("covariance_type", TYPES)
@pytest.mark.parametrize("order", [ASSIGNED, ASSIGNED[::-1]])
def test_assigned_parameters_answer_as_in_scikit_learn(covariance_type, order):
    source = theirs_fitted(covariance_type)
    ours, theirs = (by_hand(cls, source, order) for cls in (GaussianMixture, Theirs))
    for method in METHODS:
        assert_allclose(getattr(ours, method)(X), getattr(theirs, method)(X), rtol=1e-8, atol=1e-12, err_msg=method)
    for a, b in zip(ours.sample(30), theirs.sample(30), strict=True):
        assert_allclose(a, b, rtol=1e-12)


@pytest.mark.parametrize("covariance_type", TYPES)
def test_densities_need_no_covariances_and_draws_no_factors(covariance_type):
    source = theirs_fitted(covariance_type)
    ours, theirs = (
        by_hand(cls, source, ("weights_", "means_", "precisions_cholesky_")) for cls in (GaussianMixture, Theirs)
    )
    assert_allclose(ours.score_samples(X), theirs.score_samples(X), rtol=1e-10)
    # scikit-learn's has no draws without covariances: here they follow from the factors
    assert_allclose(ours.sample(20)[0], source.set_params(random_state=0).sample(20)[0], rtol=1e-6)
    ours, theirs = (by_hand(cls, source, ("weights_", "means_", "covariances_")) for cls in (GaussianMixture, Theirs))
    assert_array_equal(ours.sample(20)[0], theirs.sample(20)[0])
    assert_allclose(ours.score_samples(X), source.score_samples(X), rtol=1e-8)
    of_precisions = by_hand(GaussianMixture, source, ("weights_", "means_", "precisions_"))
    assert_allclose(of_precisions.score_samples(X), source.score_samples(X), rtol=1e-8)


@pytest.mark.parametrize("covariance_type", TYPES)
@pytest.mark.parametrize("name", ["weights_", "means_", "covariances_", "precisions_cholesky_", "precisions_"])
def test_an_attribute_that_is_changed_after_a_fit_rules_what_it_rules_in_scikit_learn(covariance_type, name):
    source = theirs_fitted(covariance_type)
    ours, theirs = (cls(3, covariance_type=covariance_type, random_state=0).fit(X) for cls in (GaussianMixture, Theirs))
    other = {"weights_": np.array([0.7, 0.2, 0.1]), "means_": source.means_[::-1].copy()}
    for model in (ours, theirs):
        setattr(model, name, other.get(name, 4.0 * getattr(source, name)))
    assert_allclose(ours.score_samples(X), theirs.score_samples(X), rtol=1e-5)
    assert_allclose(ours.sample(20)[0], theirs.sample(20)[0], rtol=1e-5, atol=1e-6)


def test_components_are_dropped_as_in_scikit_learn():
    """Whose predictions need no covariances; draws do."""
    ours, theirs = (cls(3, random_state=0).fit(X) for cls in (GaussianMixture, Theirs))
    for model in (ours, theirs):
        for name in ("weights_", "means_", "precisions_cholesky_"):
            setattr(model, name, getattr(model, name)[[0, 2]])
    assert_array_equal(ours.predict(X), theirs.predict(X))
    assert_allclose(ours.score_samples(X), theirs.score_samples(X), rtol=1e-6)
    with pytest.raises(ValueError, match=r"covariances_ was assigned the shape \(3, 4, 4\), but must have \(2, 4, 4\)"):
        ours.sample()


def test_changes_within_an_array_are_seen():
    ours, theirs = (cls(3, random_state=0).fit(X) for cls in (GaussianMixture, Theirs))
    for model in (ours, theirs):
        model.means_[1] += 0.5
        model.precisions_cholesky_[:] = transposed_factors(model)
    assert_allclose(ours.score_samples(X), theirs.score_samples(X), rtol=1e-5)


@pytest.mark.parametrize("names", [(), ("weights_",), ("means_",), ("weights_", "means_"), ("covariances_", "means_")])
@pytest.mark.parametrize("method", ["predict", "predict_proba", "score_samples", "bic", "icl", "sample", "save"])
def test_a_missing_attribute_is_named_and_from_parameters_too(names, method, tmp_path):
    model = by_hand(GaussianMixture, theirs_fitted("full"), names)
    argument = {"sample": 3, "save": tmp_path / "m.npz"}.get(method, X)
    first = next((name for name in ("means_", "weights_", "precisions_cholesky_") if name not in names), "")
    message = (
        rf"no ({first}|weights_|precisions_cholesky_): .*GaussianMixture\.from_parameters" if names else "not fitted"
    )
    with pytest.raises(fastgmm.NotFittedError, match=message) as caught:
        getattr(model, method)(argument)
    assert isinstance(caught.value, AttributeError)  # as scikit-learn's is


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        (
            "weights_",
            np.full((150, 3), 1 / 3),
            r"weights_ was assigned the shape \(150, 3\), but must have \(3,\).*from_para",
        ),
        ("weights_", np.full((3, 1), 1 / 3), r"weights_ was assigned the shape \(3, 1\), but must have \(3,\)"),
        ("weights_", np.full(4, 0.25), r"weights_ was assigned the shape \(4,\), but must have \(3,\)"),
        ("weights_", [0.6, 0.6, -0.2], r"weights_ must be finite and not negative, got weights_\[2\] = -0\.2"),
        ("weights_", [0.6, np.nan, 0.2], r"weights_ must be finite and not negative, got weights_\[1\] = nan"),
        ("means_", np.zeros(4), r"means_ was assigned the shape \(4,\), but must have the shape \(n_components"),
        ("means_", np.zeros((3, 5)), r"n_features_in_ is 4, but means_ has the shape \(3, 5\)|X has 4 features"),
        (
            "means_",
            np.zeros((2, 4)),
            r"precisions_cholesky_ was assigned the shape \(3, 4, 4\), but must have \(2, 4, 4\)",
        ),
        ("means_", np.full((3, 4), np.nan), r"Input means_ contains NaN: means_\[0, 0\]"),
        ("precisions_cholesky_", np.zeros((3, 4, 4)), r"precisions_cholesky_\[0\] is singular"),
        ("precisions_cholesky_", np.ones((3, 4, 4)), r"precisions_cholesky_\[0\] is singular"),
        ("precisions_cholesky_", np.full((3, 4, 4), np.inf), r"Input precisions_cholesky_ contains infinity"),
        ("precisions_cholesky_", np.eye(4), r"covariance_type='full' was set after the fit.*from_parameters"),
        ("precisions_cholesky_", np.ones((3, 4, 3)), r"precisions_cholesky_ was assigned the shape \(3, 4, 3\)"),
    ],
)
@pytest.mark.parametrize("fitted", [True, False], ids=["fitted", "by hand"])
def test_what_cannot_be_a_mixture_is_refused(name, value, message, fitted):
    source = GaussianMixture(3, random_state=0).fit(X)
    model = source if fitted else by_hand(GaussianMixture, source)
    setattr(model, name, value)
    for method in METHODS:
        with pytest.raises(ValueError, match=message):
            getattr(model, method)(X)


def test_singular_factors_of_the_other_layouts_are_refused():
    for covariance_type, value, message in (
        ("tied", np.zeros((4, 4)), r"precisions_cholesky_ is singular"),
        ("diag", np.zeros((3, 4)), r"precisions_cholesky_\[0\] is singular"),
        ("spherical", np.array([1.0, 0.0, 1.0]), r"precisions_cholesky_\[1\] is singular"),
    ):
        model = GaussianMixture(3, covariance_type=covariance_type, random_state=0).fit(X)
        model.precisions_cholesky_ = value
        with pytest.raises(ValueError, match=message):
            model.predict(X)


@pytest.mark.parametrize("value", [-np.eye(4), np.full((4, 4), np.nan)])
def test_draws_need_variances(value):
    model = GaussianMixture(3, covariance_type="tied", random_state=0).fit(X)
    model.covariances_ = value
    with pytest.raises(ValueError, match="covariances_ must be finite and have positive variances"):
        model.sample()
    assert model.predict(X).shape == (150,)


def test_lists_will_do():
    model = GaussianMixture(covariance_type="spherical")
    model.weights_, model.means_, model.covariances_ = [0.5, 0.5], [[0.0], [4.0]], [1.0, 1.0]
    assert model.predict([[0.1], [3.0]]).tolist() == [0, 1]
    assert model.predict_proba([[0.0]]).shape == (1, 2)
    assert model._n_parameters() == 5


@pytest.mark.parametrize("covariance_type", TYPES)
def test_a_model_put_together_is_saved_and_fitted_further(covariance_type, tmp_path):
    source = theirs_fitted(covariance_type)
    model = by_hand(GaussianMixture, source)
    model.precisions_cholesky_ = transposed_factors(source)
    model.save(tmp_path / "m.npz")
    again = fastgmm.load(tmp_path / "m.npz")
    assert_allclose(again.score_samples(X), source.score_samples(X), rtol=1e-8)
    assert_allclose(again.precisions_, source.precisions_, rtol=1e-8)
    if covariance_type in ("full", "tied"):
        assert not np.tril(again.precisions_cholesky_, -1).any()
    assert (again.n_iter_, again.converged_, again.n_features_in_) == (0, True, 4)
    assert_array_equal(pickle.loads(pickle.dumps(model)).predict(X), source.predict(X))
    warm = by_hand(GaussianMixture, source, warm_start=True, tol=1e-9, max_iter=500).fit(X)
    assert warm.lower_bound_ >= source.lower_bound_ - 1e-9
    moved = by_hand(GaussianMixture, source).partial_fit(X[:50])
    assert (moved.n_iter_, moved.n_features_in_) == (1, 4)


# --- factors of precisions that are not upper triangular ---


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("covariance_type", TYPES)
def test_lower_triangular_factors_give_scikit_learn_s_densities(covariance_type, dtype):
    data = X.astype(dtype)
    source = theirs_fitted(covariance_type, data)
    ours, theirs = (by_hand(cls, source) for cls in (GaussianMixture, Theirs))
    for model in (ours, theirs):
        model.precisions_cholesky_ = transposed_factors(source).astype(dtype)
    close = {"rtol": 1e-10, "atol": 1e-10} if dtype == np.float64 else {"rtol": 2e-4, "atol": 1e-3}
    assert_allclose(ours.score_samples(data), theirs.score_samples(data), **close)
    assert_allclose(ours._estimate_log_prob(data), theirs._estimate_log_prob(data), **close)
    assert_array_equal(ours.predict(data), theirs.predict(data))


@pytest.mark.parametrize("covariance_type", ["full", "tied"])
def test_any_square_factor_gives_the_densities_of_its_precision(covariance_type):
    """A symmetric root, one that is turned, one with a negative diagonal: scikit-learn's determinants are not right there."""
    source = theirs_fitted(covariance_type)
    values, axes = np.linalg.eigh(source.precisions_)
    symmetric = np.einsum("...ij,...j,...kj->...ik", axes, np.sqrt(values), axes)
    turn = np.linalg.qr(np.random.default_rng(0).normal(size=(4, 4)))[0]
    negative = source.precisions_cholesky_ * np.array([1.0, -1.0, 1.0, -1.0])
    for factors in (symmetric, source.precisions_cholesky_ @ turn, negative, -transposed_factors(source)):
        model = by_hand(GaussianMixture, source)
        model.precisions_cholesky_ = factors
        assert_allclose(model.score_samples(X), source.score_samples(X), rtol=1e-8)


def test_factors_of_features_of_very_different_scales():
    """Singular is what is so after each feature has its own unit."""
    P = np.diag([1e-9, 1.0, 1e9]) @ np.array([[2.0, 0, 0], [1, 3, 0], [-1, 1, 4]])
    U = layout_named("full").upper_factor(P[None])[0]
    assert_allclose(U @ U.T, P @ P.T, rtol=1e-12)
    assert_array_equal(np.tril(U, -1), 0.0)
    assert (np.diag(U) > 0).all()


# --- private methods of scikit-learn's class ---


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("covariance_type", TYPES)
def test_private_methods_answer_as_scikit_learn_s(covariance_type, dtype):
    data = X.astype(dtype)
    source = theirs_fitted(covariance_type, data)
    ours, theirs = (by_hand(cls, source) for cls in (GaussianMixture, Theirs))
    close = {"rtol": 1e-9, "atol": 1e-8} if dtype == np.float64 else {"rtol": 5e-4, "atol": 1e-3}
    for method in ("_estimate_log_prob", "_estimate_weighted_log_prob"):
        found = getattr(ours, method)(data)
        assert found.dtype == dtype
        assert_allclose(found, getattr(theirs, method)(data), **close)
    log_prob, log_resp = ours._estimate_log_prob_resp(data)
    expected = theirs._estimate_log_prob_resp(data)
    assert (log_prob.shape, log_resp.shape) == ((150,), (150, 3))
    assert_allclose(log_prob, expected[0], **close)
    assert_allclose(log_resp, expected[1], **close)
    assert_allclose(ours._estimate_log_weights(), theirs._estimate_log_weights(), rtol=1e-6)
    assert ours._n_parameters() == theirs._n_parameters()
    assert type(ours._n_parameters()) is int
    assert ours._check_is_fitted() is None
    for a, b in zip(ours._get_parameters(), theirs._get_parameters(), strict=True):
        assert_array_equal(a, b)
    copied = GaussianMixture(3, covariance_type=covariance_type)
    copied._set_parameters(ours._get_parameters())
    assert_allclose(copied.precisions_, source.precisions_, rtol=1e-4)
    assert copied.precisions_.dtype == source.precisions_.dtype
    assert_array_equal(copied.predict(data), ours.predict(data))


def test_private_methods_need_parameters():
    for call in (
        partial(GaussianMixture()._estimate_log_prob, X),
        partial(GaussianMixture()._estimate_log_prob_resp, X),
        GaussianMixture()._estimate_log_weights,
        GaussianMixture()._n_parameters,
        GaussianMixture()._check_is_fitted,
    ):
        with pytest.raises(fastgmm.NotFittedError, match="not fitted"):
            call()


@pytest.mark.parametrize("covariance_type", TYPES)
def test_initialize_sets_what_responsibilities_give(covariance_type):
    resp = np.random.default_rng(0).dirichlet(np.ones(3), size=150)
    ours, theirs = (cls(3, covariance_type=covariance_type) for cls in (GaussianMixture, Theirs))
    for model in (ours, theirs):
        model._initialize(X, resp)
    for name in ASSIGNED:
        assert_allclose(getattr(ours, name), getattr(theirs, name), rtol=1e-9, atol=1e-12, err_msg=name)


def test_initialize_keeps_what_was_supplied():
    resp = np.random.default_rng(0).dirichlet(np.ones(2), size=150)
    supplied = {
        "weights_init": [0.3, 0.7],
        "means_init": X[:2],
        "precisions_init": np.stack([np.eye(4), 2 * np.eye(4)]),
    }
    model = GaussianMixture(2, **supplied)
    model._initialize(X, resp)
    assert_allclose(model.weights_, [0.3, 0.7])
    assert_allclose(model.means_, X[:2])
    assert_allclose(model.precisions_, supplied["precisions_init"])


# --- hooks that a subclass overrides ---


def subclass(*names: str, **methods: Any) -> type[GaussianMixture]:
    def instead(self, *arguments):
        raise AssertionError("never called")

    return type("Mine", (GaussianMixture,), dict.fromkeys(names, instead) | methods)


def hooks_of_scikit_learn() -> list[str]:
    """Private methods that its class defines, but for two that `fit` does not call."""
    found = {name for cls in Theirs.__mro__ if "mixture" in cls.__module__ for name in vars(cls)}
    hooks = {name for name in found if re.match("_[a-z]", name) and callable(getattr(Theirs, name))}
    return sorted(hooks - {"_n_parameters", "_abc_impl"})


@pytest.mark.parametrize("name", [*hooks_of_scikit_learn(), "_validate_params"])
@pytest.mark.parametrize("method", ["fit", "fit_predict", "partial_fit"])
def test_an_overridden_hook_is_named(name, method):
    with pytest.raises(TypeError, match=rf"Mine overrides {name} of scikit-learn's.*inherit from sklearn\.mixture"):
        getattr(subclass(name)(2), method)(X)


def test_hooks_of_a_mixin_of_the_instance_and_several():
    class Mixin:
        def _m_step(self, X, log_resp):
            """A step of its own."""

        def _initialize_parameters(self, X, random_state):
            """A start of its own."""

    class Mine(Mixin, GaussianMixture):
        pass

    with pytest.raises(TypeError, match="Mine overrides _initialize_parameters, _m_step of"):
        Mine(2).fit(X)
    model = GaussianMixture(2)
    model._m_step = print
    with pytest.raises(TypeError, match="overrides _m_step"):
        model.fit(X)


@pytest.mark.parametrize("name", ["_estimate_log_prob", "_estimate_log_weights", "_estimate_weighted_log_prob"])
@pytest.mark.parametrize("method", [*METHODS, "icl"])
def test_overridden_densities_are_refused_without_a_fit_as_well(name, method):
    fitted = GaussianMixture(2, random_state=0).fit(X)
    model = subclass(name).from_parameters(fitted.weights_, fitted.means_, fitted.covariances_)
    with pytest.raises(TypeError, match=rf"Mine overrides {name} of"):
        getattr(model, method)(X)


def test_a_subclass_may_override_what_is_public():
    class Mine(GaussianMixture):
        def fit(self, X, y=None, sample_weight=None):
            return super().fit(np.log(X))

        def predict(self, X):
            return 10 + super().predict(np.log(X))

        def _own(self):
            return "other names are free"

    model = Mine(3, random_state=0).fit(X)
    plain = GaussianMixture(3, random_state=0).fit(np.log(X))
    assert_same_fit(model, plain)
    assert_array_equal(model.predict(X), 10 + plain.predict(np.log(X)))


def test_criteria_are_of_the_densities_and_parameters_of_a_subclass():
    """As in scikit-learn, whose methods call each other."""

    def mine(base: type) -> type:
        class Mine(base):
            def score_samples(self, X):
                return super().score_samples(X) - 1.0

            def _n_parameters(self):
                return 7

        return Mine

    source = theirs_fitted("full")
    ours, theirs = (by_hand(mine(cls), source) for cls in (GaussianMixture, Theirs))
    for method in ("score", "bic", "aic"):
        assert getattr(ours, method)(X) == pytest.approx(getattr(theirs, method)(X), rel=1e-9), method
    weights = np.arange(150.0)
    plain = GaussianMixture.score(by_hand(GaussianMixture, source), X, sample_weight=weights)
    assert ours.score(X, sample_weight=weights) == pytest.approx(plain - 1.0)


# --- constructors of subclasses ---


class WithKeywords(GaussianMixture):
    def __init__(self, extra=1, **kwargs):
        super().__init__(**kwargs)
        self.extra = extra


class Mine(Theirs):
    def __init__(self, extra=1, **kwargs):
        super().__init__(**kwargs)
        self.extra = extra


class WithArguments(GaussianMixture):
    def __init__(self, *numbers):
        super().__init__(2)
        self.numbers = numbers


def test_keywords_of_a_constructor_are_left_out_as_in_scikit_learn(tmp_path):
    model = WithKeywords(2, n_components=3, random_state=0)
    assert model.get_params() == Mine(2, n_components=3).get_params() == {"extra": 2}
    assert repr(model) == "WithKeywords(extra=2)"
    assert clone(model).extra == 2
    assert model.set_params(extra=5).extra == 5
    assert_same_fit(model.fit(X), GaussianMixture(3, random_state=0).fit(X))
    assert "extra" in model._repr_html_()


def test_arguments_without_names_are_an_error_as_in_scikit_learn():
    for call in (WithArguments(1).get_params, partial(repr, WithArguments(1)), partial(clone, WithArguments(1))):
        with pytest.raises(RuntimeError, match=r"WithArguments takes \*numbers.*in the signature"):
            call()
    assert WithArguments(1).fit(X).predict(X).shape == (150,)


def test_a_checkpoint_holds_what_a_fit_reads_whatever_the_constructor_names(tmp_path, monkeypatch):
    from fastgmm.fitting.run import StateCallback

    reached = StateCallback.reached

    def stopping(state: StateCallback, params: Any, bounds: list[float], *rest: Any) -> None:
        reached(state, params, bounds, *rest)
        if len(bounds) == 5:
            raise KeyboardInterrupt

    data = np.vstack([blobs(3000, seed=0)])
    make = partial(WithKeywords, n_components=4, tol=0.0, max_iter=40, random_state=0)
    monkeypatch.setattr(StateCallback, "reached", stopping)
    with pytest.raises(KeyboardInterrupt):
        make().fit(data, checkpoint=tmp_path / "c")
    monkeypatch.setattr(StateCallback, "reached", reached)
    with pytest.raises(ValueError, match="n_components was 4 and is 3 now"):
        make(n_components=3).fit(data, checkpoint=tmp_path / "c")
    with pytest.warns(fastgmm.ConvergenceWarning):
        resumed = make().fit(data, checkpoint=tmp_path / "c")
    with pytest.warns(fastgmm.ConvergenceWarning):
        assert_same_fit(resumed, make().fit(data))


# --- masked arrays ---


def test_masked_arrays_without_masked_values_are_taken():
    plain = GaussianMixture(3, random_state=0).fit(X, sample_weight=np.arange(150.0))
    for mask in (False, np.zeros_like(X, bool), np.ma.nomask):
        masked = np.ma.masked_array(X, mask)
        model = GaussianMixture(3, random_state=0).fit(masked, sample_weight=np.ma.masked_array(np.arange(150.0)))
        assert_same_fit(model, plain)
        assert_array_equal(model.predict(masked), plain.predict(X))
        assert type(model.score_samples(masked)) is np.ndarray
    parts = fastgmm.chunks(lambda: (np.ma.masked_array(part) for part in np.split(X, 3)), columns=[0, 2])
    assert_allclose(
        GaussianMixture(2, random_state=0).fit(parts).means_,
        GaussianMixture(2, random_state=0).fit(X[:, [0, 2]]).means_,
        rtol=1e-9,
    )
    by_rows = [np.ma.masked_array(row) for row in X]
    assert_array_equal(plain.predict(by_rows), plain.predict(X))


MASKED = np.ma.masked_array(X, np.zeros_like(X, bool))
MASKED[7, 2] = np.ma.masked
WEIGHTS = np.ma.masked_less(np.arange(150.0), 2)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: GaussianMixture(2).fit(MASKED),
            r"X is a masked array with 1 of 600 values masked, the first X\[7, 2\].*drop such samples, "
            r"X\[~np\.ma\.getmaskarray\(X\)\.any\(axis=1\)\]\.data, or pass X\.filled\(value\), which imputes them",
        ),
        (
            lambda: GaussianMixture(2).fit(X, sample_weight=WEIGHTS),
            r"sample_weight is a masked array with 2 of 150 values masked, the first sample_weight\[0\].*filled",
        ),
        (lambda: GaussianMixture(2).fit(list(MASKED)), r"X\[7\] is a masked array.*the first X\[7\]\[2\]"),
        (
            lambda: GaussianMixture(2).fit(X, sample_weight=[*range(149), np.ma.masked]),
            r"sample_weight\[149\] is a masked array",
        ),
        (
            lambda: (
                GaussianMixture(2).fit(fastgmm.chunks(lambda: iter(np.ma.vsplit(MASKED, 3)), columns=[2, 3]))
                if hasattr(np.ma, "vsplit")
                else GaussianMixture(2).fit(fastgmm.chunks(lambda: iter([MASKED[:50], MASKED[50:]]), columns=[2, 3]))
            ),
            r"chunk 0 is a masked array with 1 of 100 values masked, the first chunk 0\[7, 0\]",
        ),
        (lambda: GaussianMixture(2, init_params=WEIGHTS.astype(int)).fit(X), r"init_params is a masked array"),
        (lambda: GaussianMixture(2, random_state=0).fit(X).predict(MASKED), r"X is a masked array"),
    ],
)
def test_masked_values_are_named_with_remedies(call, message):
    with pytest.raises(TypeError, match=message):
        call()


def test_the_remedies_for_masked_values_work():
    kept = MASKED[~np.ma.getmaskarray(MASKED).any(axis=1)].data
    assert GaussianMixture(2).fit(kept).predict(MASKED.filled(0.0)).shape == (150,)


# --- notebooks ---


class Text(html.parser.HTMLParser):
    """Tags that are opened and closed, and the text between."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: set[str] = set()
        self.text = ""

    def handle_starttag(self, tag, attrs):
        self.open.append(tag)
        self.seen.add(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data + "\n"


def parsed(text: str) -> Text:
    found = Text()
    found.feed(text)
    found.close()
    assert found.open == []
    assert found.seen <= {"div", "strong", "span", "details", "summary", "table", "tr", "td", "th"}
    return found


def test_a_notebook_shows_parameters_and_fit():
    model = GaussianMixture(3, tol=0.01, random_state=0)
    text = parsed(model._repr_html_()).text
    assert text.startswith("GaussianMixture")
    assert "not fitted" in text
    assert re.search(r"\ntol\n0\.01\n", text)
    assert re.search(r"font-weight:bold\">tol<", model._repr_html_())
    assert not re.search(r"font-weight:bold\">max_iter<", model._repr_html_())
    text = parsed(model.fit(X)._repr_html_()).text
    assert "3 components of 4 features" in text
    assert f"converged_\nTrue\nn_iter_\n{model.n_iter_}\n" in text
    assert f"{model.means_[2, 3]:.5g}" in text
    assert model._repr_mimebundle_() == {"text/plain": repr(model), "text/html": model._repr_html_()}


def test_a_notebook_shows_text_as_text_and_not_too_much():
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(blobs(400, d=12), columns=["<script>alert(1)</script>", *"bcdefghijkl"])
    model = GaussianMixture(12, random_state=0, reg_covar=0.1, max_iter=200, weights_init=[1 / 12] * 12).fit(frame)
    found = parsed(model._repr_html_())
    assert "<script>alert(1)</script>" in found.text
    assert "..." in found.text
    assert len(model._repr_html_()) < 30_000
    assert len(GaussianMixture(init_params=[0, 1] * 50_000)._repr_html_()) < 10_000


def test_a_notebook_says_what_a_model_put_together_lacks():
    model = by_hand(GaussianMixture, theirs_fitted("full"), ("means_", "weights_"))
    assert "no precisions_cholesky_" in parsed(model._repr_html_()).text
    model.precisions_cholesky_ = np.zeros((3, 4, 4))
    assert "singular" in parsed(model._repr_html_()).text
    model.weights_ = "abc"
    assert parsed(model._repr_html_()).text
