"""The compiled M-steps of the structures are those of `model.m_steps`, and the eigenvalues are LAPACK's."""

from __future__ import annotations

import numpy as np
import pytest

from fastgmm.em.compiled_loop import letters_of
from fastgmm.kernels.eigen import eigen
from fastgmm.kernels.structures import maximise_structure
from fastgmm.model.structures import MCLUST_NAMES, STRUCTURES


def scatters(k, d, n=40, seed=0):
    """Scatter matrices (k, d, d) of groups that share a part of shape and orientation, and counts (k,)."""
    rng = np.random.default_rng(seed)
    counts = rng.integers(d + 2, n, k).astype(float)
    turn = np.linalg.qr(rng.normal(size=(d, d)))[0] * np.geomspace(1, 5, d)
    groups = [rng.normal(size=(int(m), d)) * rng.uniform(0.5, 2.0, d) @ turn.T for m in counts]
    matrices = np.array([(x - x.mean(0)).T @ (x - x.mean(0)) for x in groups])
    return (matrices + np.swapaxes(matrices, 1, 2)) / 2, counts


@pytest.mark.parametrize("d", [1, 2, 3, 4, 7, 10, 33])
@pytest.mark.parametrize("kind", ["scatter", "equal", "diagonal", "one axis", "graded", "zero", "huge"])
def test_eigen(d, kind):
    matrix = scatters(1, d)[0][0]
    matrix = {
        "scatter": matrix,
        "equal": 3.0 * np.eye(d),
        "diagonal": np.diag(np.arange(d, 0.0, -1)),
        "one axis": np.outer(matrix[0], matrix[0]),
        "graded": matrix * np.outer(np.geomspace(1, 1e-6, d), np.geomspace(1, 1e-6, d)),
        "zero": np.zeros((d, d)),
        "huge": matrix * 1e200,
    }[kind]
    values, axes = np.empty(d), np.empty((d, d))
    eigen(np.triu(matrix), values, axes)
    size = np.abs(matrix).max()
    np.testing.assert_allclose(values, np.linalg.eigvalsh(matrix), rtol=1e-12, atol=1e-14 * d * size)
    np.testing.assert_allclose(axes @ axes.T, np.eye(d), atol=1e-13)
    np.testing.assert_allclose(axes.T * values @ axes, matrix, atol=1e-14 * d * size)


@pytest.mark.parametrize("name", MCLUST_NAMES)
@pytest.mark.parametrize(("k", "d"), [(1, 3), (2, 1), (3, 2), (4, 4), (3, 9)])
@pytest.mark.parametrize("first", [True, False])
def test_m_steps(name, k, d, first):
    structure = STRUCTURES[name]
    within, counts = scatters(k, d, n=60)
    layout = structure.layout
    before = None
    if not first:
        other, n = scatters(k, d, n=60, seed=1)
        before = structure.maximise(layout.of_full_scatter(other), n, None)
    in_layout = layout.of_full_scatter(within)
    if name in ("EII", "VII"):
        in_layout = in_layout / d  # as `within` of that layout is
    expected = layout.matrices(structure.maximise(in_layout, counts, before), k, d)
    found = np.zeros((k, d, d)) if first else np.ascontiguousarray(layout.matrices(before, k, d))
    for _ in range(1 if first else 40):  # alternations are bounded, and continue in the next step
        assert maximise_structure(letters_of(structure), within.copy(), counts, first, found)
    if name in ("EVE", "VVE"):  # up to the accuracy of an orientation, of which there are several optima
        assert counts @ np.linalg.slogdet(found)[1] <= counts @ np.linalg.slogdet(expected)[1] + 2e-2 * counts.sum()
    else:
        rtol = 1e-4 if first else 1e-6
        np.testing.assert_allclose(found, expected, rtol=rtol, atol=rtol * np.abs(expected).max())
    assert np.array_equal(found, np.swapaxes(found, 1, 2))


@pytest.mark.parametrize("name", ["VEI", "VEE", "EVE", "VVE", "VEV", "EVV", "EVI"])
def test_a_singular_scatter_is_refused(name):
    within, counts = scatters(2, 3)
    within[:, 1], within[:, :, 1] = 0.0, 0.0
    assert not maximise_structure(letters_of(STRUCTURES[name]), within, counts, True, np.zeros((2, 3, 3)))


@pytest.mark.parametrize("name", ["EVE", "VVE", "VEE", "VEI", "VEV"])
def test_alternations_of_later_steps_never_lower_the_likelihood(name):
    """The expected log-likelihood per component, sum_k n_k log|S_k| + tr(S_k^-1 W_k), falls from step to step at most."""
    within, counts = scatters(3, 4, n=60)
    letters = letters_of(STRUCTURES[name])

    def cost(covariances):
        trace = np.einsum("kij,kij->", np.linalg.inv(covariances), within)
        return counts @ np.linalg.slogdet(covariances)[1] + trace

    now = np.zeros((3, 4, 4))
    other, n = scatters(3, 4, n=60, seed=5)
    maximise_structure(letters, other, n, True, now)
    costs = [cost(now)]
    for _ in range(6):
        assert maximise_structure(letters, within.copy(), counts, False, now)
        costs.append(cost(now))
    assert (np.diff(costs) <= 1e-9 * abs(costs[0])).all()
