"""The covariance structures: registry, M-steps, monotone EM, and every method with each of them."""

from __future__ import annotations

import itertools
import warnings

import naive
import numpy as np
import pytest
from kit import stop_at
from scipy.linalg import expm

import fastgmm
from fastgmm import GaussianMixture, chunks, em_step
from fastgmm._names import TIED_NAMES
from fastgmm.data.source import ArraySource
from fastgmm.em import sweep
from fastgmm.em.step import MaximumLikelihood
from fastgmm.model.stats import Stats
from fastgmm.model.structures import COUNT_FLOOR, MCLUST_NAMES, STRUCTURES, has_structure, maximise

#: One of each layout, and of each kind of M-step that iterates.
SOME = ["EII", "VEI", "EEE", "VEE", "EVE", "VVE", "VEV", "EVV"]
SAME = {"full": "VVV", "tied": "EEE", "diag": "VVI", "spherical": "VII"}


def scatter_matrices(k, d, seed=0):
    """Scatter matrices with axes that are alike, but not the same, and counts."""
    rng = np.random.default_rng(seed)
    counts = rng.uniform(20.0, 80.0, size=k)
    axes = np.linalg.qr(rng.normal(size=(d, d)))[0]
    within = np.empty((k, d, d))
    for j in range(k):
        root = axes * np.exp(rng.normal(size=d)) + 0.2 * rng.normal(size=(d, d))
        within[j] = counts[j] * np.exp(rng.normal()) * root @ root.T
    return within, counts


def in_layout(within, layout):
    """Scatter matrices as M-steps take them."""
    if layout == "full":
        return within
    if layout == "tied":
        return within.sum(axis=0)
    diagonals = np.diagonal(within, axis1=1, axis2=2)
    return diagonals if layout == "diag" else diagonals.mean(axis=1)


def m_step(name, within, counts, previous=None):
    """Covariances (k, d, d) of an M-step."""
    structure = STRUCTURES[name]
    found = structure.maximise(in_layout(within, structure.layout.name), counts, previous)
    return naive.expand(found, structure.layout.name, *within.shape[:2])


def coordinates(name, covariances):
    """Volumes, shapes and axes of covariances that have the structure."""
    d = covariances.shape[-1]
    if name[2] == "I":
        axes = np.array([np.eye(d)] * len(covariances))
        values = np.diagonal(covariances, axis1=1, axis2=2)
    elif name[2] == "E":
        factors = np.sqrt(np.arange(2.0, 2.0 + len(covariances)))
        axes = np.array([np.linalg.eigh(np.tensordot(factors, covariances, 1))[1]] * len(covariances))
        values = np.array([np.diag(a.T @ s @ a) for a, s in zip(axes, covariances, strict=True)])
    else:
        values, axes = np.linalg.eigh(covariances)
    volumes = np.exp(np.log(values).mean(axis=1))
    return volumes, values / volumes[:, None], axes


def neighbours(name, covariances):
    """The function from a structure's coordinates to matrices, zero for `covariances`; and how many coordinates there are."""
    k, d = covariances.shape[:2]
    volumes, shapes, axes = coordinates(name, covariances)
    planes = list(itertools.combinations(range(d), 2))
    sets = {"I": 0, "E": 1, "V": k}
    sizes = [sets[name[0]], sets[name[1]] * (d - 1), sets[name[2]] * len(planes)]

    def build(theta):
        parts = np.split(theta, np.cumsum(sizes)[:-1])
        out = np.empty_like(covariances)
        for j in range(k):
            volume = volumes[j] * np.exp(parts[0].reshape(sets[name[0]], 1)[j % sets[name[0]], 0])
            shape, turn = shapes[j], np.eye(d)
            if sizes[1]:
                step = parts[1].reshape(-1, d - 1)[j % sets[name[1]]]
                shape = shape * np.exp(np.append(step, -step.sum()))
            if sizes[2]:
                skew = np.zeros((d, d))
                for (a, b), value in zip(planes, parts[2].reshape(-1, len(planes))[j % sets[name[2]]], strict=True):
                    skew[a, b], skew[b, a] = value, -value
                turn = expm(skew)
            root = axes[j] @ turn
            out[j] = volume * root @ np.diag(shape) @ root.T
        return out

    return build, sum(sizes)


class TestRegistry:
    def test_all_names_are_there(self):
        assert set(MCLUST_NAMES) == {v + o for v in "EV" for o in ("II", "EI", "VI", "EE", "VE", "EV", "VV")}
        assert set(STRUCTURES) == {*MCLUST_NAMES, *SAME, *TIED_NAMES, "E", "V"}
        assert all(name == structure.name for name, structure in STRUCTURES.items())
        assert {structure.layout.name for structure in STRUCTURES.values()} == set(SAME)

    @pytest.mark.parametrize("name", MCLUST_NAMES)
    @pytest.mark.parametrize(("k", "d"), [(1, 1), (1, 3), (3, 1), (3, 2), (2, 4), (4, 3)])
    def test_the_number_of_parameters_is_the_dimension_of_the_set(self, name, k, d):
        """The rank of the derivative of the matrices by the coordinates, of which each structure has its own."""
        within, counts = scatter_matrices(k, d)
        build, size = neighbours(name, m_step(name, within, counts))
        step = 1e-5
        columns = [(build(step * e) - build(-step * e)).ravel() / (2 * step) for e in np.eye(size)]
        rank = np.linalg.matrix_rank(np.array(columns), tol=1e-5 * np.abs(columns).max())
        assert STRUCTURES[name].n_covariance_parameters(k, d) == rank
        assert STRUCTURES[name].n_parameters(k, d) == rank + k * d + k - 1

    @pytest.mark.parametrize(("name", "same"), [*SAME.items(), ("E", "EII"), ("V", "VII")])
    def test_other_names_are_the_same(self, name, same):
        a, b = STRUCTURES[name], STRUCTURES[same]
        assert (a.layout, a.maximise, a.n_parameters(3, 4)) == (b.layout, b.maximise, b.n_parameters(3, 4))


class TestMStep:
    @pytest.mark.parametrize("name", MCLUST_NAMES)
    @pytest.mark.parametrize(("k", "d"), [(1, 1), (2, 1), (1, 3), (2, 2), (3, 3), (4, 5)])
    def test_is_the_oracles(self, name, k, d):
        within, counts = scatter_matrices(k, d, seed=k)
        expected = naive.structured(within, counts, name)
        found = m_step(name, within, counts)
        if name in ("EVE", "VVE"):  # of several maxima perhaps another one, not a lower one
            a, b = (naive.structured_objective(within, counts, s) for s in (found, expected))
            assert a >= b - 1e-8 * abs(b)
        else:
            np.testing.assert_allclose(found, expected, rtol=1e-7, atol=1e-7 * np.abs(expected).max())

    @pytest.mark.parametrize("name", MCLUST_NAMES)
    @pytest.mark.parametrize(("k", "d"), [(2, 2), (3, 4)])
    def test_no_neighbour_of_the_structure_is_better(self, name, k, d):
        within, counts = scatter_matrices(k, d, seed=3)
        found = m_step(name, within, counts)
        build, size = neighbours(name, found)
        np.testing.assert_allclose(build(np.zeros(size)), found, rtol=1e-7, atol=1e-9 * np.abs(found).max())
        best = naive.structured_objective(within, counts, found)
        rng = np.random.default_rng(0)
        for scale in (1e-1, 1e-2, 1e-3):
            for _ in range(20):
                other = naive.structured_objective(within, counts, build(scale * rng.normal(size=size)))
                assert other <= best + 1e-9 * abs(best)

    @pytest.mark.parametrize("name", MCLUST_NAMES)
    def test_going_on_from_a_step_never_loses(self, name):
        structure = STRUCTURES[name]
        covariances = None
        for seed in range(5):
            within, counts = scatter_matrices(3, 4, seed=seed)
            if covariances is not None:
                before = naive.structured_objective(
                    within, counts, naive.expand(covariances, structure.layout.name, 3, 4)
                )
            arranged = in_layout(within, structure.layout.name)
            new = structure.maximise(arranged, counts, covariances)
            again = structure.maximise(arranged, counts, new)
            values = [
                naive.structured_objective(within, counts, naive.expand(s, structure.layout.name, 3, 4))
                for s in (new, again)
            ]
            assert covariances is None or values[0] >= before
            assert values[1] >= values[0] - 1e-12 * abs(values[0])
            covariances = new

    @pytest.mark.parametrize("name", MCLUST_NAMES)
    def test_matrices_of_the_structure_are_their_own(self, name):
        within, counts = scatter_matrices(3, 4)
        structure = STRUCTURES[name]
        covariances = structure.maximise(in_layout(within, structure.layout.name), counts, None)
        assert has_structure(structure, covariances, counts / counts.sum())
        again = m_step(name, counts[:, None, None] * naive.expand(covariances, structure.layout.name, 3, 4), counts)
        np.testing.assert_allclose(again, naive.expand(covariances, structure.layout.name, 3, 4), rtol=1e-6, atol=1e-9)

    @pytest.mark.parametrize("name", MCLUST_NAMES)
    def test_regularisation_is_noise_added_to_the_samples(self, name):
        """It keeps the structure, and adds reg_covar to the mean variance where counts are equal."""
        structure = STRUCTURES[name]
        rng = np.random.default_rng(1)
        X = rng.normal(size=(60, 3)) @ rng.normal(size=(3, 3))
        resp = rng.dirichlet(np.ones(2), size=60)
        stats = sweep.accumulate(
            ArraySource(X), structure.layout, np.zeros((2, 3)), lambda a, b: resp[a:b], complete=False
        )
        counts = stats.counts + COUNT_FLOOR
        _, means, covariances = maximise(structure, stats, 0.5)
        centred = X[None] - means[:, None]
        within = np.einsum("ik,kia,kib->kab", resp, centred, centred) + 0.5 * counts[:, None, None] * np.eye(3)
        found = naive.expand(covariances, structure.layout.name, 2, 3)
        # the common orientation is iterated to a tolerance: two ways of rounding the scatter may stop a step apart
        rtol = 1e-6 if name in ("EVE", "VVE") else 1e-9
        np.testing.assert_allclose(found, m_step(name, within, counts), rtol=rtol, atol=1e-12)
        assert has_structure(structure, covariances, counts / counts.sum())

    @pytest.mark.parametrize("name", MCLUST_NAMES)
    def test_volumes_beyond_the_range_of_a_product(self, name):
        """Determinants of 40 variances of 1e-10 and of 1e10 are no numbers any more."""
        for scale in (1e-10, 1e10):
            within, counts = scatter_matrices(2, 40)
            found = m_step(name, scale * within, counts)
            assert np.isfinite(found).all()
            np.testing.assert_allclose(found / scale, m_step(name, within, counts), rtol=1e-5, atol=1e-6)

    @pytest.mark.parametrize("name", MCLUST_NAMES)
    def test_a_component_without_samples(self, name):
        within, counts = scatter_matrices(3, 2)
        structure = STRUCTURES[name]
        sums = np.zeros((3, 2))
        counts[1], within[1] = 0.0, 0.0
        scatter = in_layout(within, structure.layout.name) * (2 if structure.layout.name == "spherical" else 1)
        stats = Stats(structure.layout, 99, 0.0, counts, sums, scatter, np.arange(6.0).reshape(3, 2))
        params = MaximumLikelihood(structure, 1e-3).maximise(stats)
        np.testing.assert_array_equal(params.means, stats.origin)
        assert params.weights[1] < 1e-14
        assert np.isfinite(params.prec_chol).all()


def heaps(n=240, d=3, k=3, seed=0):
    """Heaps of different sizes, forms and directions."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(k, size=n)
    roots = np.array([np.exp(0.5 * rng.normal()) * rng.normal(size=(d, d)) for _ in range(k)])
    return np.einsum("iab,ib->ia", roots[labels], rng.normal(size=(n, d))) + 4.0 * rng.normal(size=(k, d))[labels]


def fitted(X, k=3, **arguments):
    options = {"random_state": 0, "tol": 0.0, "max_iter": 12, **arguments}
    weights = options.pop("sample_weight", None)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", fastgmm.ConvergenceWarning)
        return GaussianMixture(k, **options).fit(X, sample_weight=weights)


def assert_close(a, b, rtol=1e-7):
    for name in ("weights_", "means_", "covariances_"):
        want = getattr(b, name)
        np.testing.assert_allclose(getattr(a, name), want, rtol=rtol, atol=rtol * np.abs(want).max(), err_msg=name)


class TestFit:
    @pytest.mark.parametrize("name", MCLUST_NAMES)
    @pytest.mark.parametrize("d", [1, 2, 5])
    def test_the_likelihood_never_falls(self, name, d):
        for seed in range(3):
            X = heaps(d=d, seed=seed)
            bounds = fitted(X, covariance_type=name, reg_covar=0.0, init_params="random", max_iter=60).lower_bounds_
            assert np.diff(bounds).min() >= -1e-12 * abs(bounds[-1])
            assert bounds[-1] > bounds[0]

    @pytest.mark.parametrize("name", MCLUST_NAMES)
    def test_fits_are_of_the_structure(self, name):
        model = fitted(heaps(), covariance_type=name)
        assert has_structure(STRUCTURES[name], model.covariances_, model.weights_, rtol=1e-6)
        volumes, shapes, _ = coordinates(name, naive.expand(model.covariances_, STRUCTURES[name].layout.name, 3, 3))
        if name[0] == "E":
            np.testing.assert_allclose(volumes, volumes[0], rtol=1e-9)
        if name[1] == "I":
            np.testing.assert_allclose(shapes, 1.0, rtol=1e-9)
        elif name[1] == "E":
            np.testing.assert_allclose(shapes, np.tile(shapes[0], (3, 1)), rtol=1e-7)

    @pytest.mark.parametrize(("basic", "name"), SAME.items())
    @pytest.mark.parametrize("n", [240, 3000])
    def test_the_basic_ones_have_the_bits_of_scikit_learns_names(self, basic, name, n):
        X = heaps(n=n)
        a, b = fitted(X, covariance_type=basic), fitted(X, covariance_type=name)
        assert a.lower_bounds_ == b.lower_bounds_
        assert np.array_equal(a.covariances_, b.covariances_)
        assert a.bic(X) == b.bic(X)

    @pytest.mark.parametrize("name", ["E", "V"])
    def test_one_feature(self, name):
        X = heaps(d=1)
        model = fitted(X, covariance_type=name)
        assert_close(model, fitted(X, covariance_type=name + "II"), rtol=0)
        assert model.covariances_.shape == (3,)
        assert (np.ptp(model.covariances_) == 0) == (name == "E")

    @pytest.mark.parametrize("name", SOME)
    def test_in_pieces_as_in_memory(self, name):
        X = heaps(n=2500)
        whole = fitted(X, covariance_type=name)
        parts = fitted(chunks([X[:700], X[700:704], X[704:]]), covariance_type=name)
        assert_close(parts, whole, rtol=1e-6)
        assert parts.bic(X) == pytest.approx(whole.bic(X), rel=1e-9)

    @pytest.mark.parametrize("name", SOME)
    def test_integer_weights_are_repeated_rows(self, name):
        X = heaps(n=1200)
        times = np.random.default_rng(0).integers(0, 4, size=len(X))
        start = {"means_init": X[:3], "init_params": "random_from_data", "reg_covar": 1e-2}
        rng = np.random.default_rng(1)
        start["precisions_init"] = fitted(X, covariance_type=name, max_iter=1).precisions_
        start["weights_init"] = rng.dirichlet(np.ones(3))
        a = fitted(X, covariance_type=name, sample_weight=times, **start)
        b = fitted(np.repeat(X, times, axis=0), covariance_type=name, **start)
        assert_close(a, b, rtol=1e-6)
        assert a.bic(X, times) == pytest.approx(b.bic(np.repeat(X, times, axis=0)), rel=1e-9)

    @pytest.mark.parametrize("name", SOME)
    def test_float32_is_near_float64(self, name):
        X = heaps(n=1500).astype(np.float32)
        a, b = fitted(X, covariance_type=name, max_iter=4), fitted(X.astype(float), covariance_type=name, max_iter=4)
        assert a.covariances_.dtype == np.float32
        assert_close(a, b, rtol=2e-3)

    @pytest.mark.parametrize("name", SOME)
    def test_same_bits_on_any_number_of_threads(self, name):
        X = heaps(n=5000)
        a, *others = (fitted(X, covariance_type=name, n_threads=threads) for threads in (1, 2, 3))
        for other in others:
            assert np.array_equal(a.covariances_, other.covariances_)
            assert a.lower_bounds_ == other.lower_bounds_

    @pytest.mark.parametrize("name", SOME)
    def test_a_checkpoint_resumes_to_the_same_bits(self, name, tmp_path, monkeypatch):
        X, path = heaps(n=1500), tmp_path / "state.npz"
        options = {"covariance_type": name, "random_state": 0, "tol": 0.0, "max_iter": 9}
        expected = fitted(X, **options)

        stop_at(monkeypatch, "iteration", 6)
        with pytest.raises(KeyboardInterrupt, match=r"interrupted after 5 iterations"):
            GaussianMixture(3, **options).fit(X, checkpoint=path, checkpoint_every=0)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", fastgmm.ConvergenceWarning)
            again = GaussianMixture(3, **options).fit(X, checkpoint=path)
        assert again.lower_bounds_ == expected.lower_bounds_
        assert np.array_equal(again.covariances_, expected.covariances_)

    @pytest.mark.parametrize("name", SOME)
    def test_warm_start_and_batches_go_on(self, name):
        X = heaps(n=2000)
        model = fitted(X, covariance_type=name, max_iter=3, warm_start=True)
        first = model.score(X)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", fastgmm.ConvergenceWarning)
            second = model.fit(X).score(X)
            online = GaussianMixture(3, covariance_type=name, random_state=0, max_iter=5).fit(X, batch_size=200)
        assert second >= first
        again = GaussianMixture.from_parameters(
            model.weights_, model.means_, model.covariances_, covariance_type=name
        ).set_params(learning_offset=1e9)
        before = again.covariances_.copy()
        again.partial_fit(X[:50])  # a step so small that nothing moves
        np.testing.assert_allclose(again.covariances_, before, rtol=1e-3, atol=1e-3 * np.abs(before).max())
        assert online.score(X) > second - 0.1
        assert has_structure(STRUCTURES[name], online.covariances_, online.weights_)

    @pytest.mark.parametrize("name", MCLUST_NAMES)
    def test_what_a_fitted_mixture_does(self, name, tmp_path):
        X = heaps()
        model = fitted(X, covariance_type=name, max_iter=30)
        full = GaussianMixture.from_parameters(
            model.weights_, model.means_, naive.expand(model.covariances_, STRUCTURES[name].layout.name, 3, 3)
        )
        np.testing.assert_allclose(model.score_samples(X), full.score_samples(X), rtol=1e-9)
        np.testing.assert_allclose(model.predict_proba(X), full.predict_proba(X), rtol=1e-7, atol=1e-12)
        p = STRUCTURES[name].n_parameters(3, 3)
        assert model.bic(X) == pytest.approx(-2 * full.score(X) * len(X) + p * np.log(len(X)), rel=1e-11)
        drawn, labels = model.sample(4000)
        assert drawn.shape == (4000, 3)
        np.testing.assert_allclose(np.bincount(labels, minlength=3) / 4000, model.weights_, atol=0.05)
        model.save(tmp_path / "model.npz")
        loaded = fastgmm.load(tmp_path / "model.npz")
        assert loaded.covariance_type == name
        assert np.array_equal(loaded.predict(X), model.predict(X))
        step = em_step(X, model.weights_, model.means_, model.covariances_, covariance_type=name)
        assert step.covariances.shape == model.covariances_.shape
        assert step.log_likelihood == pytest.approx(model.score(X) * len(X), rel=1e-12)


class TestBadInput:
    @pytest.mark.parametrize(
        ("wrong", "near"), [("vev", "VEV"), ("VVW", "VVV"), ("Full", "full"), ("diagonal", "diag"), ("EEEE", "EEE")]
    )
    def test_unknown_structure_names_the_list_and_the_nearest(self, wrong, near):
        with pytest.raises(
            ValueError, match=rf"covariance_type must be one of 'full', .*'EVE', .*did you mean '{near}'\?"
        ):
            GaussianMixture(2, covariance_type=wrong).fit(heaps())

    @pytest.mark.parametrize(("name", "alike"), [("E", "'EII', 'EEI' or 'EEE'"), ("V", "'VII', 'VVI' or 'VVV'")])
    def test_structures_of_one_feature(self, name, alike):
        X = heaps()
        message = rf"covariance_type='{name}' is for data of one feature, but there are 3: choose {alike}"
        for call in (
            lambda: GaussianMixture(2, covariance_type=name).fit(X),
            lambda: GaussianMixture(2, covariance_type=name).partial_fit(X),
            lambda: GaussianMixture.from_parameters([1.0], [[0.0] * 3], [1.0], covariance_type=name),
            lambda: fastgmm.log_density(X, [[0.0] * 3], [1.0], covariance_type=name),
        ):
            with pytest.raises(ValueError, match=message):
                call()

    @pytest.mark.parametrize("name", ["VVV", "EVV"])
    def test_too_few_samples_name_the_structures_that_can(self, name):
        rng = np.random.default_rng(0)
        X = np.vstack([rng.normal(size=(40, 4)), 50.0 + rng.normal(size=(3, 4))])
        message = (
            r"component \d, which holds 3 of 43 samples.*needs 5 samples at least for covariance_type="
            rf"'{name}' with 4 features; with fewer there are 'EII', 'VII', .*'VEV'\."
        )
        with pytest.raises(ValueError, match=message):
            GaussianMixture(2, covariance_type=name, reg_covar=0.0, random_state=0).fit(X)
        GaussianMixture(2, covariance_type="VEV", reg_covar=0.0, random_state=0).fit(X)

    @pytest.mark.parametrize("name", ["VEI", "VEE", "VEV", "EEV", "EEE", "EEI"])
    def test_a_shared_shape_that_is_singular(self, name):
        X = heaps()
        X[:, 1] = 7.0
        with pytest.raises(ValueError, match=r"(of all 240 samples|component \d,).*ill-defined.*[Rr]aise reg_covar"):
            GaussianMixture(2, covariance_type=name, reg_covar=0.0, random_state=0).fit(X)

    def test_covariances_that_are_not_of_the_structure(self):
        matrices = np.array([np.eye(2), 2.0 * np.eye(2)])
        with pytest.raises(ValueError, match=r"covariances do not have the structure 'EEV'.*covariance_type='full'"):
            GaussianMixture.from_parameters([0.5, 0.5], np.zeros((2, 2)), matrices, covariance_type="EEV")
        GaussianMixture.from_parameters([0.5, 0.5], np.zeros((2, 2)), matrices, covariance_type="VEE")
        with pytest.raises(ValueError, match=r"do not have the structure 'EII'"):
            GaussianMixture.from_parameters([0.5, 0.5], np.zeros((2, 2)), [1.0, 2.0], covariance_type="EII")
