"""Wrong input gets an error that names it and leaves the model as it was; hard but valid data are fitted."""

from __future__ import annotations

import contextlib
import inspect
import io
import os
import pickle
import re
import types
import warnings

import numba
import numpy as np
import pandas as pd
import pytest
import wrong.after
import wrong.arguments
import wrong.calls
import wrong.commands
import wrong.data
import wrong.files
from numpy.testing import assert_allclose, assert_array_equal
from wrong import EYES, X, blobs, fitted, with_value

import fastgmm
from fastgmm import GaussianMixture, _validation
from fastgmm import functional as F

TYPES = ("full", "tied", "diag", "spherical")
ARRAYS = ("weights_", "means_", "covariances_", "precisions_", "precisions_cholesky_")


ROWS = [
    *wrong.data.ROWS,
    *wrong.arguments.ROWS,
    *wrong.calls.ROWS,
    *wrong.files.ROWS,
    *wrong.commands.ROWS,
    *wrong.after.ROWS,
]

#: A message says what is right, or what to do.
REMEDY = re.compile(
    r"[Cc]hoose |[Ee]ncode |[Mm]ake |[Tt]ake |[Cc]ount time|"
    r"must|should|need|[Pp]ass |choose|[Cc]onvert|[Cc]all |[Ss]cale|[Rr]aise|[Dd]rop|[Dd]ivide|decrease|[Aa]dd |[Aa]sk for|remove|"
    r"save|[Ww]rite |delete|leave|keep them|name it|name at least|make it|set it|say which|let it|fit again|upgrade|did you mean|"
    r"see fastgmm|there are [\d']|it holds '|one row per|minimum of|No such file|[Ii]s a directory|but it is for"
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("wrong")
    wrong.files.write(path)
    return path


@pytest.mark.parametrize(("make", "error", "message"), [pytest.param(*row[1:], id=row[0]) for row in ROWS])
def test_wrong_input_says_why_and_changes_nothing(make, error, message, folder, monkeypatch):
    monkeypatch.chdir(folder)
    call = make()
    before = state_of(call), files_in(folder), settings_of_the_process()
    with pytest.raises(error, match=re.compile(message, re.DOTALL)) as caught:
        call()
    assert REMEDY.search(str(caught.value)), "the message names no remedy"
    assert state_of(call) == before[0]
    assert files_in(folder) == before[1]
    assert settings_of_the_process() == before[2]


def state_of(call):
    """Return the object called and all arguments, with their content."""
    given = [*call.args, *call.keywords.values()]
    owner = getattr(call.func, "__self__", None)
    attributes = list(vars(owner).items()) if isinstance(owner, GaussianMixture) else []
    return [(name, id(value), content(value)) for name, value in [*attributes, *enumerate(given)]]


def content(value):
    """Something that compares equal as long as a value is what it was."""
    if isinstance(value, types.GeneratorType):
        return inspect.getgeneratorstate(value)  # not begun
    if isinstance(value, io.IOBase):
        return value.closed or value.tell()
    if isinstance(value, pd.DataFrame):
        return value.to_csv(), list(value.dtypes)
    if type(value).__module__.startswith(("matplotlib", "dask")):
        return repr(value), len(getattr(value, "axes", ()))
    if isinstance(value, np.ndarray) and value.dtype.hasobject:
        return list(map(id, value.flat))
    with contextlib.suppress(Exception):  # a lambda
        return pickle.dumps(value)
    return repr(value)


def files_in(folder):
    return {path: (path.stat().st_mtime_ns, path.is_file() and path.read_bytes()) for path in folder.rglob("*")}


def settings_of_the_process():
    return os.getcwd(), np.geterr(), numba.get_num_threads(), list(warnings.filters)


def test_the_table_is_large_and_its_labels_are_unique():
    labels = [label for label, *_ in ROWS]
    assert len(set(labels)) == len(labels)
    assert sum(not label.startswith("again: ") for label in labels) > 500


def test_a_wrong_fit_leaves_no_half_of_one():
    model = GaussianMixture(2)
    with pytest.raises(ValueError, match="NaN"):
        model.fit(with_value(np.nan))
    with pytest.raises(fastgmm.NotFittedError):
        model.predict(X)


@pytest.mark.parametrize("covariance_type", ["diag", "diagonal"])
def test_another_covariance_type_after_fit_is_refused(covariance_type):
    with pytest.raises(ValueError, match="covariance_type"):
        fitted(X).set_params(covariance_type=covariance_type).predict(X)


def test_the_position_of_a_nan_far_down_is_right():
    data = np.zeros((1 << 20, 6), np.float32)
    data[-2, 3] = np.nan
    with pytest.raises(ValueError, match=r"X\[1048574, 3\] is nan"):
        GaussianMixture().fit(data)


@pytest.mark.parametrize("row", range(12))
def test_nan_and_infinity_at_the_borders_of_blocks_are_found(row, monkeypatch, limits):
    limits(numbers_checked=8)  # four rows
    monkeypatch.setattr(_validation, "_SMALL", 0)
    for value, text in ((np.nan, "nan"), (-np.inf, "-inf")):
        with pytest.raises(ValueError, match=rf"X\[{row}, 1\] is {text}"):
            GaussianMixture().fit(with_value(value, row))


def test_more_threads_than_there_are_count_as_those():
    model, plain = (GaussianMixture(2, random_state=0, n_threads=n).fit(X) for n in (10**6, 1))
    assert_array_equal(model.means_, plain.means_)


def test_large_finite_values_whose_sum_overflows_are_finite():
    data = np.array([[1.7e308], [1.7e308], [-1.7e308]])
    assert _validation.check_data(data) is data


@pytest.fixture(scope="module")
def expected():
    return GaussianMixture(3, random_state=0).fit(TestForms.BASE)


class TestForms:
    """The same numbers in another form give the same fit, to the bit."""

    BASE = np.round(blobs(), 1)

    @staticmethod
    def view_of_a_field(data):
        record = np.zeros(len(data), np.dtype([("id", "i1"), ("x", "f8", (2,))]))
        record["x"] = data
        return record["x"]

    @pytest.mark.parametrize(
        "form",
        [
            np.asfortranarray,
            lambda a: np.repeat(np.repeat(a, 3, axis=0), 2, axis=1)[::3, ::2],
            lambda a: a[::-1].copy()[::-1],
            lambda a: a[:, ::-1].copy()[:, ::-1],
            lambda a: a[::-1, ::-1].copy("F")[::-1, ::-1],
            lambda a: a.astype(">f8"),
            lambda a: a.astype("<f8"),
            lambda a: a.tolist(),
            lambda a: [tuple(row) for row in a],
            lambda a: list(a),
            lambda a: a.astype(object),
            lambda a: a.astype(np.longdouble),
            pd.DataFrame,
            lambda a: pd.DataFrame(a, columns=["x", "y"]),
            lambda a: pd.DataFrame(a).astype("Float64"),
            lambda a: pd.DataFrame(a).astype(pd.SparseDtype(float)),
            lambda a: pd.DataFrame(a, columns=["x", "x"]),
            lambda a: pd.DataFrame(a, columns=pd.MultiIndex.from_tuples([("x", 0), ("y", 1)])),
            lambda a: TestForms.view_of_a_field(a),
            lambda a: np.ascontiguousarray(a).view(np.matrix),
            np.ma.masked_array,
            lambda a: [np.ma.masked_array(row) for row in a],
            memoryview,
        ],
        ids=[
            "Fortran",
            "sliced",
            "rows-backwards",
            "columns-backwards",
            "both-backwards",
            "big-endian",
            "little-endian",
            "list",
            "tuples",
            "rows",
            "objects",
            "longdouble",
            "DataFrame",
            "named-DataFrame",
            "nullable-DataFrame",
            "sparse-DataFrame",
            "names-twice",
            "names-of-two-levels",
            "field",
            "matrix",
            "masked-array",
            "masked-rows",
            "memoryview",
        ],
    )
    def test_form(self, form, expected):
        data = form(self.BASE)
        model = GaussianMixture(3, random_state=0).fit(data)
        for name in ARRAYS:
            assert_array_equal(getattr(model, name), getattr(expected, name), err_msg=name)
        assert model.lower_bounds_ == expected.lower_bounds_
        assert_array_equal(model.score_samples(data), expected.score_samples(self.BASE))
        assert_array_equal(model.predict(data), expected.predict(self.BASE))

    @pytest.mark.parametrize("dtype", ["i1", "i8", "u2", ">i4", "f2", "f4", ">f4"])
    def test_dtype(self, dtype):
        data = np.abs(np.round(self.BASE)).astype(dtype)
        as_float = data.astype(np.float32 if dtype == "f4" else np.float64)
        model, plain = (GaussianMixture(3, random_state=0).fit(a) for a in (data, as_float))
        for name in ARRAYS:
            assert getattr(model, name).dtype == as_float.dtype
            assert_array_equal(getattr(model, name), getattr(plain, name), err_msg=name)
        assert_array_equal(model.predict(data), plain.predict(as_float))

    def test_booleans(self):
        data = self.BASE > 0
        model, plain = (GaussianMixture(2, random_state=0).fit(a) for a in (data, data.astype(float)))
        assert_array_equal(model.covariances_, plain.covariances_)
        assert model.lower_bounds_ == plain.lower_bounds_

    def test_read_only(self, expected):
        data = self.BASE.copy()
        data.flags.writeable = False
        assert_array_equal(GaussianMixture(3, random_state=0).fit(data).means_, expected.means_)

    def test_a_row_repeated_by_a_stride_of_zero(self):
        data = np.broadcast_to([1.0, 2.0], (10, 2))
        with pytest.warns(UserWarning, match="reg_covar=1e-06, the default, is larger"):
            model = GaussianMixture().fit(data)
        assert_array_equal(model.means_, [[1.0, 2.0]])
        assert_allclose(model.covariances_[0], 1e-6 * np.eye(2), rtol=1e-12)


def same_up_to_order(a, b):
    """Whether two labellings are one partition."""
    return len(set(zip(a, b, strict=True))) == len(set(a)) == len(set(b))


class TestHardData:
    @pytest.mark.parametrize("covariance_type", TYPES)
    def test_constant_columns(self, covariance_type):
        data = np.column_stack([blobs(), np.full(60, 5.0)])
        model = GaussianMixture(2, covariance_type=covariance_type, random_state=0).fit(data)
        assert_allclose(model.means_[:, 2], 5.0, rtol=1e-12)
        if covariance_type == "diag":
            assert_allclose(model.covariances_[:, 2], 1e-6, rtol=1e-6)
        assert np.isfinite(model.score(data))

    @pytest.mark.parametrize("covariance_type", TYPES)
    def test_rows_repeated_weigh_as_often(self, covariance_type):
        arguments = {"covariance_type": covariance_type, "random_state": 0, "tol": 1e-10, "max_iter": 500}
        start = {"weights_init": [0.5, 0.5], "means_init": X[:2], "init_params": "random_from_data"}
        shape = {"full": EYES, "tied": np.eye(2), "diag": np.ones((2, 2)), "spherical": np.ones(2)}[covariance_type]
        once, thrice = (
            GaussianMixture(2, precisions_init=shape, **arguments, **start).fit(a) for a in (X, np.repeat(X, 3, axis=0))
        )
        assert_allclose(thrice.means_, once.means_, rtol=1e-6, atol=1e-9)
        assert_allclose(thrice.covariances_, once.covariances_, rtol=1e-6, atol=1e-9)

    @pytest.mark.parametrize("covariance_type", TYPES)
    def test_few_distinct_rows(self, covariance_type):
        data = np.repeat([[0.0, 0.0], [1.0, 3.0], [5.0, 1.0]], 10, axis=0)
        model = GaussianMixture(3, covariance_type=covariance_type, random_state=0).fit(data)
        assert_allclose(sorted(model.means_.tolist()), [[0, 0], [1, 3], [5, 1]], atol=1e-9)
        assert_allclose(model.weights_, 1 / 3)

    def test_more_components_than_distinct_rows(self):
        data = np.repeat([[0.0, 0.0], [1.0, 3.0]], 5, axis=0)
        with pytest.warns(fastgmm.ConvergenceWarning, match=r"found 2 distinct clusters, fewer than the 3"):
            model = GaussianMixture(3, random_state=0).fit(data)
        assert same_up_to_order(model.predict(data), np.repeat([0, 1], 5))

    @pytest.mark.parametrize("covariance_type", TYPES)
    def test_as_many_components_as_samples(self, covariance_type):
        data = blobs(n=6)
        model = GaussianMixture(6, covariance_type=covariance_type, random_state=0).fit(data)
        assert_allclose(model.weights_.sum(), 1.0)
        if covariance_type != "tied":
            assert sorted(model.predict(data)) == [0, 1, 2, 3, 4, 5]

    def test_one_feature_is_the_same_for_three_types(self):
        data = blobs(d=1)
        full, diag, spherical = (
            GaussianMixture(2, covariance_type=t, random_state=0, tol=1e-8, max_iter=1000).fit(data)
            for t in ("full", "diag", "spherical")
        )
        assert_allclose(full.covariances_[:, 0, 0], diag.covariances_[:, 0], rtol=1e-9)
        assert_allclose(full.covariances_[:, 0, 0], spherical.covariances_, rtol=1e-9)
        assert full.lower_bound_ == pytest.approx(spherical.lower_bound_, rel=1e-12)

    @pytest.mark.parametrize("covariance_type", TYPES)
    def test_more_features_than_samples(self, covariance_type):
        data = blobs(n=12, d=20, k=2)
        model = GaussianMixture(2, covariance_type=covariance_type, reg_covar=1e-2, random_state=0).fit(data)
        assert same_up_to_order(model.predict(data), np.arange(12) % 2)
        assert model.means_.shape == (2, 20)

    @pytest.mark.parametrize("covariance_type", TYPES)
    def test_a_large_offset_costs_no_digits(self, covariance_type):
        data = np.round(blobs() * 2**20) / 2**20
        arguments = {"covariance_type": covariance_type, "random_state": 0}
        near = GaussianMixture(3, **arguments).fit(data)
        far = GaussianMixture(3, **arguments).fit(data + 2.0**20)
        assert_allclose(far.means_ - 2.0**20, near.means_, atol=1e-7)
        assert_allclose(far.covariances_, near.covariances_, rtol=1e-6, atol=1e-8)
        assert_array_equal(far.predict(data + 2.0**20), near.predict(data))

    @pytest.mark.parametrize("covariance_type", TYPES)
    @pytest.mark.parametrize("scale", [2.0**-27, 2.0**27])
    def test_a_scaled_fit_is_the_fit_scaled(self, covariance_type, scale):
        data = blobs()
        arguments = {"covariance_type": covariance_type, "random_state": 0}
        plain = GaussianMixture(3, reg_covar=1e-6, **arguments).fit(data)
        scaled = GaussianMixture(3, reg_covar=1e-6 * scale**2, **arguments).fit(data * scale)
        assert_allclose(scaled.means_, plain.means_ * scale, rtol=1e-7)
        assert_allclose(scaled.covariances_, plain.covariances_ * scale**2, rtol=1e-6, atol=1e-9 * scale**2)
        assert scaled.n_iter_ == plain.n_iter_
        assert scaled.lower_bound_ == pytest.approx(plain.lower_bound_ - 2 * np.log(scale), rel=1e-9)

    @pytest.mark.parametrize("covariance_type", TYPES)
    def test_tiny_data_warn_of_reg_covar(self, covariance_type):
        data = blobs() * 1e-8
        with pytest.warns(
            UserWarning,
            match=r"reg_covar=1e-06, the default, is larger than the variance of the data: .* 1e-6 \* X\.var\(\)",
        ) as record:
            model = GaussianMixture(3, covariance_type=covariance_type, random_state=0).fit(data)
        assert [w.filename for w in record if "reg_covar" in str(w.message)] == [__file__]
        diagonal = (
            np.diagonal(model.covariances_, axis1=-2, axis2=-1) if model.covariances_.ndim > 2 else model.covariances_
        )
        if covariance_type != "tied":
            assert_allclose(diagonal, 1e-6, rtol=1e-6)

    @pytest.mark.parametrize("reg_covar", [1e-5, 2e-6, 1e-7])
    def test_another_reg_covar_than_the_default_is_meant_so(self, reg_covar):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            GaussianMixture(3, reg_covar=reg_covar, random_state=0).fit(blobs() * 1e-8)
            GaussianMixture(3, reg_covar=reg_covar, random_state=0).partial_fit(blobs() * 1e-8)

    def test_a_line_of_code_is_warned_once(self):
        with warnings.catch_warnings(record=True) as record:
            warnings.resetwarnings()  # the default action is that of Python without options
            for i in range(5):
                GaussianMixture(3, random_state=0).fit(blobs(seed=i) * 1e-8 * (i + 1))
        assert [str(w.message).partition(",")[0] for w in record] == ["reg_covar=1e-06"]

    @pytest.mark.parametrize("covariance_type", TYPES)
    @pytest.mark.parametrize("scale", [1.0, 1e8])
    def test_nothing_warns_at_other_scales(self, covariance_type, scale):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            model = GaussianMixture(3, covariance_type=covariance_type, random_state=0).fit(blobs() * scale)
        assert model.converged_

    @pytest.mark.parametrize("covariance_type", TYPES)
    @pytest.mark.parametrize("init_params", ["random", "random_from_data", "k-means++"])
    @pytest.mark.parametrize("n_components", [1, 3])
    def test_starts_whose_covariances_are_nothing_but_reg_covar_do_not_warn_of_it(
        self, n_components, init_params, covariance_type
    ):
        model = GaussianMixture(
            n_components, covariance_type=covariance_type, init_params=init_params, max_iter=2, tol=1e99
        )
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            warnings.simplefilter("ignore", fastgmm.DegenerateWarning)  # two iterations leave components on one sample
            model.set_params(random_state=0).fit(blobs())
        with pytest.warns(UserWarning, match=r"reg_covar=1e-06, the default, is larger than the variance of the data"):
            model.fit(blobs() * 1e-4 / blobs().std())
        with pytest.warns(UserWarning, match=r"reg_covar=1e-06, the default, is larger than the variance of the data"):
            GaussianMixture(n_components, random_state=0).partial_fit(blobs() * 1e-4 / blobs().std())

    @pytest.mark.parametrize("covariance_type", TYPES)
    @pytest.mark.parametrize("beyond", ["means", "covariances"])
    def test_parameters_beyond_float32_are_told_of(self, covariance_type, beyond):
        data = np.zeros((4, 2), np.float32)
        size = 1e-50 if covariance_type == "spherical" else 1e-100
        variance = size if beyond == "covariances" else 1.0
        means = np.full((1, 2), 1e100 if beyond == "means" else 0.0)
        covariances = {
            "full": variance * np.eye(2)[None],
            "tied": variance * np.eye(2),
            "diag": np.full((1, 2), variance),
            "spherical": np.full(1, variance),
        }[covariance_type]
        for function in (F.log_prob, F.responsibilities):
            function(data.astype(np.float64), [1.0], means, covariances, covariance_type=covariance_type)
            with pytest.raises(
                ValueError, match=r"beyond float32, the dtype of X: means reach .* Pass X as float64, or scale"
            ):
                function(data, [1.0], means, covariances, covariance_type=covariance_type)

    @pytest.mark.parametrize("covariance_type", TYPES)
    def test_parameters_of_features_of_very_different_scales_are_accepted(self, covariance_type):
        mixed = blobs(d=4) @ np.random.default_rng(0).normal(size=(4, 4))
        data = mixed * [1e-2, 1e8, 1.0, 1e8]
        model = GaussianMixture(2, covariance_type=covariance_type, random_state=0).fit(data)
        if covariance_type == "full":  # eigenvalues are no test of definiteness here
            values = np.linalg.eigvalsh(model.covariances_)
            assert (values[:, 0] < 1e-16 * values[:, -1]).any()  # below rounding
        build = GaussianMixture.from_parameters
        again = build(model.weights_, model.means_, model.covariances_, covariance_type=covariance_type)
        assert_allclose(again.score_samples(data), model.score_samples(data), rtol=1e-6)

    def test_a_sample_beyond_reach_has_likelihood_zero(self):
        model = GaussianMixture(2, random_state=0).fit(X)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            assert_array_equal(model.score_samples([[1e200, 0.0], [0.0, -1e200]]), [-np.inf, -np.inf])
            assert not np.isnan(model.predict_proba([[1e200, 0.0]])).any()

    def test_a_start_beyond_reach_says_so(self):
        model = GaussianMixture(
            1, weights_init=[1.0], means_init=[[1e200, 0.0]], precisions_init=[1.0], covariance_type="spherical"
        )
        with pytest.raises(ValueError, match=r"the log-likelihood became -inf in iteration 1.*Scale the data"):
            model.fit(X)

    def test_the_warning_of_few_distinct_rows_points_at_the_user(self):
        with pytest.warns(fastgmm.ConvergenceWarning, match="distinct clusters") as record:
            GaussianMixture(3, random_state=0).fit(np.repeat([[0.0, 0.0], [1.0, 3.0]], 5, axis=0))
        assert record[0].filename == __file__

    def test_the_warning_of_kmeans_points_at_the_user(self):
        def fit_kmeans():
            return F.kmeans(np.repeat([[0.0, 0.0], [1.0, 3.0]], 5, axis=0), 3, random_state=0)

        with pytest.warns(fastgmm.ConvergenceWarning, match="distinct clusters") as record:
            outcome = fit_kmeans()
        assert outcome.inertia == 0
        assert record[0].lineno == fit_kmeans.__code__.co_firstlineno + 1


class TestCollapse:
    @pytest.mark.parametrize("covariance_type", ["full", "diag", "spherical"])
    def test_the_message_names_component_samples_and_remedy(self, covariance_type):
        data = np.vstack([blobs(n=30), np.full((10, 2), 40.0)])
        model = GaussianMixture(2, covariance_type=covariance_type, reg_covar=0, random_state=0)
        before = dict(vars(model))
        with pytest.raises(ValueError, match=r"failed: .*component [01]") as caught:
            model.fit(data)
        assert vars(model) == before
        message = str(caught.value)
        assert "reg_covar=0," in message
        proposed = float(re.search(r"Raise reg_covar to about ([-+.\de]+)", message)[1])
        assert proposed == pytest.approx(1e-6 * data.var(axis=0).mean(), rel=0.1)
        fixed = model.set_params(reg_covar=proposed).fit(data)
        assert sorted(np.bincount(fixed.predict(data))) == [10, 30]

    def test_one_that_collapses_later_says_how_many_samples_it_holds(self):
        data = np.vstack([blobs(n=30), np.full((10, 2), 40.0)])
        model = GaussianMixture(
            2,
            reg_covar=0,
            weights_init=[0.75, 0.25],
            means_init=[[0, 0], [40, 40]],
            precisions_init=EYES,
        )
        with pytest.raises(ValueError, match=r"component 1, which holds 10 of 40 samples, has an ill-defined"):
            model.fit(data)

    def test_a_tied_covariance(self):
        data = np.column_stack([blobs()[:, 0], np.full(60, 3.0)])
        with pytest.raises(ValueError, match=r"the tied covariance.*feature 1 is constant.*raise reg_covar to about"):
            GaussianMixture(2, covariance_type="tied", reg_covar=0, random_state=0).fit(data)

    @pytest.mark.parametrize("init_params", ["k-means++", "random_from_data"])
    def test_a_start_from_points_without_regularisation(self, init_params):
        with pytest.raises(ValueError, match=r"already at the start component 0.*Raise reg_covar to about"):
            GaussianMixture(2, init_params=init_params, reg_covar=0, random_state=0).fit(X)

    def test_em_step(self):
        data = np.vstack([blobs(n=30), np.full((10, 2), 40.0)])
        with pytest.raises(ValueError, match=r"component 1, which holds 10 of 40 samples"):
            F.em_step(data, [0.75, 0.25], [[0, 0], [40, 40]], EYES, reg_covar=0)

    def test_all_samples_equal(self):
        with pytest.raises(ValueError, match=r"component 0.*Raise reg_covar"):
            GaussianMixture(reg_covar=0).fit(np.ones((10, 2)))

    def test_all_samples_equal_get_a_usable_reg_covar(self):
        data = np.ones((10, 2))
        with pytest.raises(ValueError, match=r"Raise reg_covar") as caught:
            GaussianMixture(reg_covar=0).fit(data)
        assert "1e-300" not in str(caught.value)
        with pytest.raises(ValueError, match=r"which holds 10 of 10 samples") as caught:
            F.em_step(data, [1.0], [[0.0, 0.0]], EYES[:1], reg_covar=0)
        assert float(re.search(r"Raise reg_covar to about ([-+.\deinf]+)", str(caught.value))[1]) > 0

    def test_a_collapse_at_the_start_says_how_many_samples_it_holds(self):
        data = np.vstack([blobs(n=30), np.full((10, 2), 40.0)])
        with pytest.raises(ValueError, match=r"holds 10 of 40 samples"):
            GaussianMixture(2, reg_covar=0, random_state=0).fit(data)
