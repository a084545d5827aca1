"""Fits with `missing_values="marginalize"`: published values, what does not matter, every kind of data, and imputation."""

from __future__ import annotations

import json
import os
import re
import tempfile
import warnings

import dask
import dask.array as da
import dask.dataframe as dd
import naive
import numpy as np
import pandas as pd
import polars as pl
import pytest
from conftest import assert_same_bits, compiled
from kit import assert_same_fit, interrupt_in_start
from numpy.testing import assert_allclose, assert_array_equal

import fastgmm
from fastgmm import BayesianGaussianMixture, ConvergenceWarning, GaussianMixture, cli, select
from fastgmm.data.source import ArraySource
from fastgmm.fitting.resets import reset
from fastgmm.io.tables import read_table
from fastgmm.model.structures import MCLUST_NAMES
from fastgmm.plotting import plot_mixture

#: Little & Rubin, Statistical Analysis with Missing Data, 1987, table 7.3: size of crops of apples, and worms in them.
APPLES = np.array(
    [
        [8, 6, 11, 22, 14, 17, 18, 24, 19, 23, 26, 40, 4, 4, 5, 6, 8, 10],
        [59, 58, 56, 53, 50, 45, 43, 42, 39, 38, 30, 27] + [np.nan] * 6,
    ]
).T
NEVER = pytest.mark.filterwarnings("error::UserWarning")


def complete(n=400, d=3, seed=0):
    rng = np.random.default_rng(seed)
    C = 3.0 * rng.normal(size=(2, d, d))
    return C[rng.integers(2, size=n), 0] + rng.normal(size=(n, d)) @ (np.eye(d) + 0.3 * C[0] / 3.0)


def holed(X, share=0.15, seed=1):
    """The samples with values missing completely at random; each keeps one at least."""
    rng = np.random.default_rng(seed)
    Y = np.where(rng.uniform(size=X.shape) < share, np.nan, X).astype(X.dtype)
    lost = np.isnan(Y).all(axis=1)
    Y[lost, 0] = X[lost, 0]
    return Y


X = complete()
Y = holed(X)


def model(k=2, cls=GaussianMixture, **arguments):
    return cls(n_components=k, **{"missing_values": "marginalize", "random_state": 0, "n_threads": 1, **arguments})


def fit(X, k=2, sample_weight=None, cls=GaussianMixture, **arguments):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return model(k, cls, **arguments).fit(X, sample_weight=sample_weight)


class TestValues:
    def test_apples(self):
        found = fit(APPLES, 1, tol=1e-13, max_iter=1000, reg_covar=0.0)
        assert_allclose(found.means_[0], [14.7222222, 49.3333333], rtol=1e-7)
        covariance = [[89.5339506, -90.6967292], [-90.6967292, 114.6949551]]
        assert_allclose(found.covariances_[0], covariance, rtol=1e-6)
        assert found.score(APPLES) * 18 == pytest.approx(-101.785632, abs=1e-5)
        assert found.bic(APPLES) == pytest.approx(2 * 101.785632 + 5 * np.log(18), abs=1e-4)

    @pytest.mark.parametrize("layout", ["full", "tied", "diag", "spherical"])
    def test_each_iteration_is_that_of_a_loop_over_rows(self, layout):
        start = fit(Y, covariance_type=layout, max_iter=1)
        one = start.set_params(warm_start=True, max_iter=1)
        w, m, c = one.weights_, one.means_, one.covariances_
        log_prob, resp, counts, sums, scatter = naive.incomplete_statistics(Y, w, m, c, layout)
        assert_allclose(one.score_samples(Y), log_prob, rtol=1e-11)
        assert_allclose(one.predict_proba(Y), resp, atol=1e-12)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            one.fit(Y)
        assert_allclose(one.weights_, counts / counts.sum(), rtol=1e-9)
        moves = sums / counts[:, None]
        assert_allclose(one.means_, m + moves, rtol=1e-9)
        within = scatter - counts[:, None, None] * moves[:, :, None] * moves[:, None, :] + 0.0
        full = (within if layout != "tied" else within.sum(axis=0)) / (
            counts.sum() if layout == "tied" else counts[:, None, None]
        )
        expected = {
            "full": lambda: full,
            "tied": lambda: full,
            "diag": lambda: np.einsum("kii->ki", full),
            "spherical": lambda: np.einsum("kii->k", full) / 3,
        }[layout]()
        assert_allclose(naive.expand(one.covariances_, layout, 2, 3), naive.expand(expected, layout, 2, 3), atol=2e-6)
        assert one.lower_bound_ == pytest.approx(log_prob.mean(), rel=1e-12)

    @pytest.mark.parametrize("name", MCLUST_NAMES)
    def test_the_likelihood_never_falls_for_any_structure(self, name):
        found = fit(Y, covariance_type=name, tol=0.0, max_iter=15, reg_covar=0.0)
        assert (np.diff(found.lower_bounds_) > -1e-9).all()
        assert found.score(Y) >= found.lower_bound_ - 1e-9

    def test_missing_completely_at_random_leads_near_the_complete_fit(self):
        Z = complete(n=6000)
        whole, found = (fit(data, tol=1e-6, max_iter=500) for data in (Z, holed(Z, 0.1)))
        order = [0, 1] if np.abs(whole.means_ - found.means_).max() < 1 else [1, 0]
        assert_allclose(found.means_[order], whole.means_, atol=0.15)
        assert_allclose(found.covariances_[order], whole.covariances_, atol=0.4)

    def test_a_mixture_of_independent_halves(self):
        """If no sample has both features, the likelihood is that of two mixtures in one dimension."""
        Z = np.full((40, 2), np.nan)
        Z[:20, 0], Z[20:, 1] = X[:20, 0], X[20:40, 1]
        found = fit(Z, 1, covariance_type="diag", reg_covar=0.0, tol=1e-12, max_iter=500)
        assert_allclose(found.means_[0], [X[:20, 0].mean(), X[20:40, 1].mean()], rtol=1e-6)
        assert_allclose(found.covariances_[0], [X[:20, 0].var(), X[20:40, 1].var()], rtol=1e-5)


class TestWhatDoesNotMatter:
    @NEVER
    @pytest.mark.parametrize("arguments", [{}, {"covariance_type": "tied"}, {"algorithm": "dense", "n_init": 2}])
    def test_complete_data_have_the_bits_of_the_ordinary_fit(self, arguments):
        assert_same_bits(fit(X, **arguments), fit(X, missing_values="raise", **arguments))

    def test_the_order_of_the_samples_and_of_the_features(self):
        start = {"means_init": X[:2], "weights_init": [0.5, 0.5], "precisions_init": np.tile(np.eye(3), (2, 1, 1))}
        one = fit(Y, **start)
        rows = np.random.default_rng(0).permutation(len(Y))
        assert_allclose(fit(Y[rows], **start).covariances_, one.covariances_, rtol=1e-9)
        start["means_init"] = X[:2, ::-1]
        assert_allclose(fit(Y[:, ::-1], **start).means_[:, ::-1], one.means_, rtol=1e-9)

    def test_weights_are_repeated_rows(self):
        weights = np.random.default_rng(0).integers(0, 4, len(Y))
        start = {"means_init": X[:2], "weights_init": [0.5, 0.5], "precisions_init": np.tile(np.eye(3), (2, 1, 1))}
        weighted, repeated = fit(Y, sample_weight=weights, **start), fit(np.repeat(Y, weights, axis=0), **start)
        assert_allclose(weighted.covariances_, repeated.covariances_, rtol=1e-9)
        assert weighted.bic(Y, weights) == pytest.approx(repeated.bic(np.repeat(Y, weights, axis=0)), rel=1e-12)

    @compiled
    def test_threads(self):
        assert_same_bits(fit(Y, n_threads=1), fit(Y, n_threads=2))

    def test_samples_without_any_value(self):
        Z = np.insert(Y, [3, 100], np.nan, axis=0)
        with pytest.warns(UserWarning, match="2 of 402 samples have no value at all and count for nothing"):
            found = model().fit(Z)
        expected = fit(Y)
        assert_same_fit(found, expected)
        assert_array_equal(found.predict(Z)[[0, 1, 2, 4]], expected.predict(Y)[[0, 1, 2, 3]])
        assert found.predict(Z)[3] == np.argmax(found.weights_)
        assert_allclose(found.predict_proba(Z)[3], found.weights_)
        assert found.score_samples(Z)[3] == pytest.approx(0.0, abs=1e-14)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            assert found.score(Z) == expected.score(Y)
            assert found.bic(Z) == expected.bic(Y)
            assert_array_equal(model().fit_predict(Z), found.predict(Z))
            labels = np.insert(expected.predict(Y), [3, 100], 0)
            assert_same_fit(fit(Z, init_params=labels), fit(Y, init_params=expected.predict(Y)))

    def test_a_pattern_of_which_no_sample_is_left(self):
        found = fit(Y)
        alone = Y[~np.isnan(Y).any(axis=1)]
        assert_allclose(found.predict_proba(alone), found.predict_proba(Y)[~np.isnan(Y).any(axis=1)], atol=1e-14)


class TestData:
    @pytest.mark.parametrize("library", ["pandas", "nullable", "polars", "objects", "masked", "lists"])
    def test_whatever_stands_for_a_missing_value(self, library):
        names = ["a", "b", "c"]
        frame = pd.DataFrame(Y, columns=names)
        data = {
            "pandas": lambda: frame,
            "nullable": lambda: frame.convert_dtypes(),
            "polars": lambda: pl.DataFrame(Y, schema=names).fill_nan(None),
            "objects": lambda: np.where(np.isnan(Y), None, Y),
            "masked": lambda: np.ma.masked_invalid(Y),
            "lists": lambda: [[None if np.isnan(x) else x for x in row] for row in Y.tolist()],
        }[library]()
        assert_same_fit(fit(data), fit(Y))

    def test_float32(self):
        found = fit(Y.astype(np.float32))
        assert found.means_.dtype == np.float32
        assert_allclose(found.means_, fit(Y).means_, rtol=1e-3)
        assert found.score_samples(Y.astype(np.float32)).dtype == np.float32

    def test_files_chunks_and_maps(self, tmp_path, limits):
        start = {"means_init": X[:2], "weights_init": [0.5, 0.5], "precisions_init": np.tile(np.eye(3), (2, 1, 1))}
        Z = np.insert(Y, 7, np.nan, axis=0)
        np.save(tmp_path / "x.npy", Z)
        pd.DataFrame(Z, columns=list("abc")).to_csv(tmp_path / "x.csv", index=False)
        pd.DataFrame(Z, columns=list("abc")).to_parquet(tmp_path / "x.parquet")
        expected = fit(Y, **start)
        limits(loaded=1024, block_bytes=3000)
        for data in (
            np.load(tmp_path / "x.npy", mmap_mode="r"),
            tmp_path / "x.npy",
            tmp_path / "x.csv",
            tmp_path / "x.parquet",
            fastgmm.chunks([Z[:150], Z[150:]]),
        ):
            with pytest.warns(UserWarning, match="1 of 401 samples have no value"):
                found = model(**start).fit(data)
            assert_allclose(found.covariances_, expected.covariances_, rtol=1e-9)
            assert found.predict(data).shape == (401,)
        with pytest.warns(UserWarning, match="1 of 401"):
            assert np.isfinite(model().fit(tmp_path / "x.npy").means_).all()  # the start is from a sample

    def test_dask(self):
        start = {"means_init": X[:2], "weights_init": [0.5, 0.5], "precisions_init": np.tile(np.eye(3), (2, 1, 1))}
        Z = np.insert(Y, 7, np.nan, axis=0)
        with dask.config.set(scheduler="synchronous"):
            array = da.from_array(Z, chunks=(150, 3))
            with pytest.warns(UserWarning, match="1 of 401 samples have no value"):
                found = model(**start).fit(array)
            assert_allclose(found.covariances_, fit(Y, **start).covariances_, rtol=1e-9)
            assert_allclose(found.predict_proba(array).compute(), found.predict_proba(Z), atol=1e-14)
            assert_allclose(found.impute(array).compute(), found.impute(Z), rtol=1e-12)
            frame = dd.from_pandas(pd.DataFrame(Y, columns=list("abc")), npartitions=3)
            by_name = model(init_params="random").fit(frame)
            assert list(by_name.impute(frame).compute().columns) == ["a", "b", "c"]
            with pytest.raises(TypeError, match="n_draws cannot be used with a Dask collection"):
                found.impute(array, n_draws=2)

    def test_streams_of_batches(self):
        online = model()
        for part in np.array_split(Y, 4):
            online.partial_fit(part)
        assert online.n_iter_ == 4
        again = model()
        for part in np.array_split(Y, 4)[:2]:
            again.partial_fit(part)
        resumed = fastgmm.load(saved(again))
        for part in np.array_split(Y, 4)[2:]:
            resumed.partial_fit(part)
        assert_same_fit(resumed, online)
        epochs = model(max_iter=30).fit(Y, batch_size=100)
        assert epochs.score(Y) > fit(Y, max_iter=1).score(Y) - 0.05

    def test_a_fit_resumes_from_a_checkpoint(self, tmp_path):
        path = tmp_path / "c.npz"
        arguments = {"n_init": 3, "init_params": "random_from_data", "tol": 1e-5}
        interrupt_in_start(1, lambda: model(**arguments).fit(Y, checkpoint=path, checkpoint_every=0))
        assert path.exists()
        assert_same_bits(fit(Y, **arguments), model(**arguments).fit(Y, checkpoint=path))

    @pytest.mark.parametrize("acceleration", ["squarem", "over-relaxation"])
    def test_accelerated(self, acceleration):
        plain, found = (fit(Y, tol=1e-8, max_iter=2000, acceleration=a) for a in (None, acceleration))
        assert found.lower_bound_ == pytest.approx(plain.lower_bound_, abs=1e-5)

    def test_with_prior_resets_and_progress(self, capsys):
        assert (np.diff(fit(Y, prior="default", reg_covar=0.0).lower_bounds_) > -1e-9).all()
        assert fit(Y, on_collapse="reset").n_resets_ == 0
        model().fit(Y, progress=True)
        assert "start 1" in capsys.readouterr().err

    def test_a_component_is_started_anew_at_a_place_with_all_coordinates(self):
        found = fit(Y)
        again = reset(ArraySource(Y, incomplete=True), found._params(), [0], 0, 1)
        assert np.isfinite(again.means).all()
        assert not np.array_equal(again.means[0], found.means_[0])
        assert_array_equal(again.means[1], found.means_[1])

    def test_pictures_are_of_the_complete_samples(self):
        figure = pytest.importorskip("matplotlib.figure").Figure
        plot_mixture(fit(Y), Y, ax=figure())
        with pytest.raises(ValueError, match=r"no sample has a value of each feature.*pass model.impute\(X\)"):
            plot_mixture(fit(Y), Y[np.isnan(Y).any(axis=1)], ax=figure())

    def test_pruned_says_that_it_has_no_effect(self):
        Z = np.tile(Y, (4, 1))
        with pytest.warns(UserWarning, match=r"algorithm='pruned' has no effect here: samples with missing values"):
            model(algorithm="pruned").fit(Z)

    @pytest.mark.parametrize("layout", ["full", "tied", "diag", "spherical"])
    def test_the_evidence_never_falls(self, layout):
        found = fit(Y, 4, cls=BayesianGaussianMixture, covariance_type=layout, tol=0.0, max_iter=20)
        assert (np.diff(found.lower_bounds_) > -1e-7).all()
        assert found.predict_proba(Y).shape == (400, 4)
        assert_same_bits(
            fit(X, 4, cls=BayesianGaussianMixture, covariance_type=layout),
            fit(X, 4, cls=BayesianGaussianMixture, covariance_type=layout, missing_values="raise"),
        )

    def test_select(self):
        found = select(Y, range(1, 4), ["EII", "EEE", "VVV"], missing_values="marginalize", random_state=0)
        assert found.best_n_components == 2
        best = found.best_model
        assert best.missing_values == "marginalize"
        assert best.bic(Y) == pytest.approx(found.bic.min(), abs=1e-6)
        with pytest.raises(ValueError, match=r"feature 1 .* has no value"):
            select(np.where([False, True, False], np.nan, Y), 2, missing_values="marginalize")

    def test_a_saved_model_knows(self):
        found = fit(Y)
        again = fastgmm.load(saved(found))
        assert again.missing_values == "marginalize"
        assert_array_equal(again.predict_proba(Y), found.predict_proba(Y))


def saved(model):
    """The path of a file that holds the model."""
    handle, path = tempfile.mkstemp(suffix=".npz")
    os.close(handle)
    model.save(path)
    return path


class TestWrong:
    def test_nan_is_an_error_by_default(self):
        with pytest.raises(ValueError, match="X contains NaN"):
            GaussianMixture(2).fit(Y)
        with pytest.raises(ValueError, match="X contains NaN"):
            fit(X, missing_values="raise").predict(Y)

    def test_infinity_is_an_error_in_any_case(self, tmp_path):
        Z = Y.copy()
        Z[9, 1] = np.inf
        for data in (Z, fastgmm.chunks([Z])):
            with pytest.raises(ValueError, match=r"contains infinity.*put NaN in place of it if the value is missing"):
                model().fit(data)

    def test_choices(self):
        with pytest.raises(ValueError, match=r"missing_values must be one of 'raise', 'marginalize', got 'drop'"):
            model(missing_values="drop").fit(Y)

    def test_a_feature_without_any_value_is_named(self):
        Z = Y.copy()
        Z[:, 1] = np.nan
        with pytest.raises(ValueError, match=r"feature 1 \(counted from 0\) has no value in any sample"):
            model().fit(Z)
        with pytest.raises(ValueError, match="feature 'b' has no value in any sample"):
            model().fit(pd.DataFrame(Z, columns=list("abc")))
        with pytest.raises(ValueError, match="X has no values: all of them are missing"):
            model().fit(np.full((5, 2), np.nan))

    def test_noise_of_complete_data_may_have_no_marginal(self):
        rng = np.random.default_rng(0)
        Z = np.vstack(
            [X[:, :2] @ [[1.0, 0.9], [0.0, 0.3]], rng.uniform(-3, 3, size=(30, 1)) + rng.normal(size=(30, 2))]
        )
        found = fit(Z, noise=True)
        if not np.array_equal(found.noise_.axes, np.eye(2)):
            with pytest.raises(ValueError, match="no constant density if features are missing"):
                found.predict([[np.nan, 0.0]])


class TestImpute:
    @pytest.mark.parametrize("cls", [GaussianMixture, BayesianGaussianMixture])
    @pytest.mark.parametrize("layout", ["full", "tied", "diag", "spherical"])
    def test_the_conditional_mean_by_a_loop_over_rows(self, layout, cls):
        found = fit(Y, cls=cls, covariance_type=layout)
        Z, before = Y[:60], Y[:60].copy()
        values, resp = found.impute(Z), found.predict_proba(Z)
        matrices = naive.expand(found.covariances_, layout, 2, 3)
        for x, value, r in zip(Z, values, resp, strict=True):
            o = ~np.isnan(x)
            assert_array_equal(value[o], x[o])
            means = [
                m[~o] + S[np.ix_(~o, o)] @ np.linalg.solve(S[np.ix_(o, o)], x[o] - m[o])
                for m, S in zip(found.means_, matrices, strict=True)
            ]
            assert_allclose(value[~o], r @ np.array(means), rtol=1e-9, atol=1e-10)
        assert_array_equal(Z, before)

    def test_draws_have_the_conditional_moments(self):
        found = fit(Y, tol=1e-6)
        Z = np.array([[X[0, 0], np.nan, np.nan], [np.nan] * 3, X[1]])
        draws = found.impute(Z, n_draws=20_000, random_state=0)
        assert draws.shape == (20_000, 3, 3)
        assert_array_equal(draws[:, 2], np.tile(X[1], (20_000, 1)))
        mean, whole = found.impute(Z), draws[:, 1]
        assert_allclose(draws.mean(axis=0), mean, atol=5 * draws.std(axis=0).max() / np.sqrt(20_000))
        w, m = found.weights_, found.means_
        assert_allclose(mean[1], w @ m, rtol=1e-12)
        total = np.einsum("k,kij->ij", w, found.covariances_) + (w * (m - w @ m).T) @ (m - w @ m)
        assert_allclose(np.cov(whole.T), total, rtol=0.1, atol=0.15)
        r = found.predict_proba(Z[:1])[0]
        gains = found.covariances_[:, 1:, 0] / found.covariances_[:, :1, 0]
        means = m[:, 1:] + gains * (Z[0, 0] - m[:, :1])
        within = found.covariances_[:, 1:, 1:] - gains[:, :, None] * found.covariances_[:, :1, 1:]
        expected = np.einsum("k,kij->ij", r, within) + (r * (means - r @ means).T) @ (means - r @ means)
        assert_allclose(np.cov(draws[:, 0, 1:].T), expected, rtol=0.1, atol=0.05)
        assert_array_equal(draws, found.impute(Z, n_draws=20_000, random_state=0))

    def test_frames_stay_frames_and_float32_stays(self):
        frame = pd.DataFrame(Y, columns=list("abc"), index=np.arange(400)[::-1])
        found = fit(frame)
        values = found.impute(frame)
        assert_array_equal(values.index, frame.index)
        assert list(values.columns) == ["a", "b", "c"]
        assert not values.isna().any().any()
        of_polars = found.impute(pl.DataFrame(Y, schema=list("abc")).fill_nan(None))
        assert of_polars.columns == ["a", "b", "c"]
        assert_array_equal(of_polars.to_numpy(), values.to_numpy())
        assert found.impute(frame, n_draws=2, random_state=0).shape == (2, 400, 3)
        single = fit(Y.astype(np.float32))
        assert single.impute(Y.astype(np.float32)).dtype == np.float32

    def test_any_model_imputes(self):
        found = GaussianMixture(2, random_state=0).fit(X)
        assert np.isfinite(found.impute(Y)).all()
        assert_array_equal(found.impute(X), X)
        with pytest.raises(ValueError, match="n_draws must be an integer of at least 1"):
            found.impute(Y, n_draws=0)


class TestCommandLine:
    TEXT = "a,b\n1.0,2.5\n,3.5\n2.0,NA\n1.5,nan\n9.0,8.5\n9.5,\n8.0,7.5\nNaN,8.0\n"

    def test_fit_predict_and_score(self, tmp_path, capsys):
        data, file = tmp_path / "x.csv", tmp_path / "m.npz"
        data.write_text(self.TEXT)
        argv = ["fit", str(data), "-k", "2", "--covariance", "spherical", "--missing", "--output", str(file), "--json"]
        assert cli.main(argv) == 0
        told = json.loads(capsys.readouterr().out)
        assert told["n_samples"] == 8
        assert fastgmm.load(file).missing_values == "marginalize"
        assert cli.main(["predict", str(file), str(data)]) == 0
        assert capsys.readouterr().out.split() == ["label"] + told_labels(fastgmm.load(file))
        assert cli.main(["score", str(file), str(data), "--json"]) == 0
        assert json.loads(capsys.readouterr().out)["log_likelihood"] == pytest.approx(told["log_likelihood"])
        assert cli.main(["select", str(data), "--components", "1:2", "--covariances", "EII,EEI", "--missing"]) == 0

    def test_without_the_option_it_is_an_error(self, tmp_path, capsys):
        data = tmp_path / "x.csv"
        data.write_text(self.TEXT)
        assert cli.main(["fit", str(data), "-k", "2"]) != 0
        assert "line 3, column 0 (counted from 0, 'a'): the value is missing" in capsys.readouterr().err

    @pytest.mark.parametrize(
        "text",
        [
            "1;2\n;3\n4;NA\n",
            '"1","2"\n"","3"\n"4","NA"\n',
            "1\t2\n\t3\n4\tn/a\r\n",
            "1 2\n NA 3\n4 nan\n",
            "x,y\n1,2\n?,3\n4,-\n",
        ],
    )
    def test_marks_of_missing_values(self, tmp_path, text):
        path = tmp_path / "x.csv"
        delimiter = None if re.search("[,;\t]", text) else "space"
        path.write_text(text)
        read = read_table(path, missing=True, delimiter=delimiter)
        assert_array_equal(read.data, [[1, 2], [np.nan, 3], [4, np.nan]])
        path.write_text(text.replace("3", "inf"))
        with pytest.raises(ValueError, match="'inf' is not finite"):
            read_table(path, missing=True, delimiter=delimiter)


def told_labels(model):
    values = np.genfromtxt(TestCommandLine.TEXT.splitlines(), delimiter=",", skip_header=1)
    del model.feature_names_in_
    return [str(label) for label in model.predict(values)]
