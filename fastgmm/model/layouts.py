"""Layouts: how covariances, their factors and the scatter of a mixture are stored, and everything that depends on it.

A layout is an object in the registry `LAYOUTS`; no other module asks for a layout's name. With k components and d features:

=========  ==================  =======================================  =====================================
name       covariances         scatter                                  factor U, precision = U U^T
=========  ==================  =======================================  =====================================
full       (k, d, d)           (k, d, d)                                upper triangular
tied       (d, d)              (d, d), the sum over components          upper triangular
diag       (k, d)              (k, d), the diagonals                    1 / standard deviation
spherical  (k,)                (k,), the traces                         1 / standard deviation
=========  ==================  =======================================  =====================================

Precisions and factors have the shape of the covariances; `values` in a signature stands for any of the three. Arrays are
float64 unless stated otherwise. Which covariances of a layout are allowed is the structure's part (`structures`).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

import numpy as np
from numpy.typing import DTypeLike, NDArray

from fastgmm.kernels.full import Full, scatter_width
from fastgmm.kernels.ir_density import pack_panels
from fastgmm.kernels.simple import Diag, Spherical, Tied
from fastgmm.model.cholesky import NotPositiveDefinite, factors

Float = NDArray[np.float64]
LongFloat = NDArray[np.longdouble]
Packed = Full | Tied | Diag | Spherical

_LOG_2 = np.log(np.longdouble(2))


class Layout(ABC):
    """A layout; there is one object of each, in every process."""

    #: The name in `covariance_type`, files and messages.
    name: ClassVar[str]
    #: The axes of covariances, for messages.
    axes: ClassVar[str]
    #: Whether the scatter is the total scatter of the data less that between components: no sweep is needed for it.
    pools: ClassVar[bool] = False
    #: Whether features of a component may be correlated.
    correlates: ClassVar[bool] = False
    #: Bytes of a tile of samples, at most: as many as stay in the level-2 cache.
    tile_bytes: ClassVar[int] = 2**18

    def __repr__(self) -> str:
        return self.name

    def __reduce__(self) -> tuple:
        return layout_named, (self.name,)

    # --- shapes and conversions ---

    @abstractmethod
    def shape(self, k: int, d: int) -> tuple[int, ...]:
        """Return the shape of covariances, precisions and factors."""

    @abstractmethod
    def variances(self, values: Float, k: int, d: int) -> Float:
        """Return the diagonal of each component's matrix, shape (k, d)."""

    @abstractmethod
    def matrices(self, values: Float, k: int, d: int) -> Float:
        """Return each component's matrix, shape (k, d, d)."""

    @abstractmethod
    def of_matrices(self, matrices: Float) -> Float:
        """Return the values of matrices (k, d, d) that this layout can hold."""

    @abstractmethod
    def unique_matrices(self, values: Float) -> Float | None:
        """Return the matrices that are stored, (k or 1, d, d); None if variances are stored."""

    def entry(self, name: str, i: int) -> str:
        """Return what stands for matrix i of `unique_matrices` in a message about the array `name`."""
        return f"{name}[{i}]"

    @abstractmethod
    def marginal(self, covariances: Float, features: NDArray[np.intp], k: int) -> Float:
        """Return the covariances of some features as matrices (k, m, m)."""

    def draw(self, rng: np.random.RandomState, mean: NDArray, covariances: NDArray, i: int, n: int) -> NDArray:
        """Draw n samples (n, d) of component i, whose mean (d,) is given."""
        matrix = covariances if covariances.ndim == 2 else covariances[i]
        return rng.multivariate_normal(mean, matrix, n)

    # --- factors ---

    @abstractmethod
    def precision_cholesky(self, covariances: Float) -> Float:
        """Return U with inverse(covariance) = U U^T; raise NotPositiveDefinite if there is none."""

    @abstractmethod
    def cholesky_of_precisions(self, precisions: Float) -> Float:
        """Return U with precision = U U^T."""

    @abstractmethod
    def upper_factor(self, factors: Float) -> Float:
        """Return the upper triangular U with U U^T = P P^T, for any square P; raise NotPositiveDefinite if P is singular."""

    @abstractmethod
    def covariances(self, prec_chol: Float) -> Float:
        """Return the covariances, inverse(U U^T)."""

    @abstractmethod
    def precision_diagonals(self, prec_chol: Float, k: int, d: int) -> Float:
        """Return the diagonal of each component's precision, shape (k, d)."""

    @abstractmethod
    def precisions(self, prec_chol: Float) -> Float:
        """Return the precisions, U U^T."""

    @abstractmethod
    def log_det(self, prec_chol: Float, k: int, d: int) -> LongFloat:
        """Return log |U_k| = -1/2 log |Sigma_k|, shape (k,).

        It is in extended precision if the platform has that. An error of it is one of all samples, and at d = 200 that of a
        sum of rounded logarithms was several times those of distances.
        """

    @abstractmethod
    def smallest_variances(self, covariances: Float, k: int, units: Float) -> Float:
        """Return each component's smallest variance in any direction, (k,), of features divided by `units` (d,)."""

    @abstractmethod
    def lengths(self, prec_chol: Float, vectors: Float) -> Float:
        """Return |U_k^T v_k| of vectors (k, d), shape (k,)."""

    @abstractmethod
    def contraction(self, before: Float, after: Float, k: int) -> Float:
        """Return a lower bound of |U_after^T v| / |U_before^T v| over all v, shape (k,), of two sets of factors."""

    # --- statistics ---

    @abstractmethod
    def within(self, scatter: Float, sums: Float, counts: Float) -> Float:
        """Return the scatter about the new means, S_k - s_k s_k^T / n_k; for spherical its trace divided by d."""

    @abstractmethod
    def regularised(self, values: Float, reg_covar: float, counts: Float | None = None) -> Float:
        """Return covariances with `reg_covar` added to every variance; scatter, if the counts (k,) are given."""

    @abstractmethod
    def expected_scatter(self, covariances: Float, weights: Float, d: int) -> Float:
        """Return the scatter about the means that a mixture expects of one sample; `within` and an M-step give it back."""

    @abstractmethod
    def cross(self, h: Float, c: Float) -> Float:
        """Return h c^T + c h^T, of rows of (k, d), as this layout's scatter has it."""

    @abstractmethod
    def trace(self, scatter: Float) -> float:
        """Return the trace of the scatter of all components."""

    @abstractmethod
    def of_full_scatter(self, scatter: Float) -> Float:
        """Return what scatter (k, d, d) is in this layout."""

    def n_alike(self, d: int) -> int:
        """Return how many of d features have one variance."""
        return 1

    # --- kernels ---

    @abstractmethod
    def packed(
        self, constant: NDArray, means: NDArray, weights: Float, centres: Float, prec_chol: Float, tile: int
    ) -> Packed:
        """Lay parameters out for the kernels.

        constant : (k,) and means : (k, padded d), in the dtype of the samples; centres : (k, d), the same means in float64
        """

    def with_flat(self, prec_chol: Float) -> Float:
        """Return factors with one more, for a component of constant density: 0, if each component has its own."""
        return np.concatenate([prec_chol, np.zeros_like(prec_chol[:1])])

    def flattened(self, packed: Packed) -> Packed:
        """Return packed parameters whose last component, of `with_flat`, has a constant density."""
        return packed

    def largest_factor(self, limit: float) -> float:
        """Return the largest factor that kernels can hold in a dtype whose largest number is `limit`."""
        return limit

    @abstractmethod
    def accumulator_shape(self, k: int, d: int) -> tuple[int, int]:
        """Return the shape of the scatter that the kernels add up for one lane."""

    def flops(self, d: int) -> int:
        """Return the operations of a sweep for each sample and component."""
        return 8 * d

    @abstractmethod
    def collected(self, lanes: Float, k: int, d: int) -> Float:
        """Add up the accumulators of lanes, (lanes, *accumulator_shape), in their order, and take the padding off."""


class _Matrices(Layout):
    """Covariances between features."""

    correlates = True

    def variances(self, values: Float, k: int, d: int) -> Float:
        return np.broadcast_to(np.diagonal(values, axis1=-2, axis2=-1), (k, d))

    def unique_matrices(self, values: Float) -> Float | None:
        return values.reshape(-1, *values.shape[-2:])

    def marginal(self, covariances: Float, features: NDArray[np.intp], k: int) -> Float:
        m = len(features)
        return np.broadcast_to(covariances[..., features[:, None], features], (k, m, m))

    def cholesky_of_precisions(self, precisions: Float) -> Float:
        # the lower factor of the matrix with rows and columns reversed, reversed again, is upper triangular
        return np.ascontiguousarray(np.linalg.cholesky(precisions[..., ::-1, ::-1])[..., ::-1, ::-1])

    def upper_factor(self, factors: Float) -> Float:
        # P = U Q with Q orthogonal: with J, which reverses an order, P^T J = Q' R by QR gives U = J R^T J up to signs of columns
        flipped = np.linalg.qr(np.swapaxes(factors[..., ::-1, :], -1, -2), mode="r")
        upper = np.swapaxes(flipped, -1, -2)[..., ::-1, ::-1]
        signed = np.diagonal(upper, axis1=-2, axis2=-1)
        singular = np.abs(signed) <= len(signed.T) * np.finfo(np.float64).eps * np.linalg.norm(factors, axis=-1)
        if singular.any():
            component = None if self.pools else int(np.argwhere(singular)[0, 0])
            raise NotPositiveDefinite(component, float(np.abs(signed)[singular][0]))
        return np.ascontiguousarray(upper * np.where(signed < 0.0, -1.0, 1.0)[..., None, :])

    def covariances(self, prec_chol: Float) -> Float:
        inverse = np.linalg.inv(prec_chol)
        return np.swapaxes(inverse, -1, -2) @ inverse

    def lengths(self, prec_chol: Float, vectors: Float) -> Float:
        return np.linalg.norm(np.einsum("...ij,...i->...j", prec_chol, vectors), axis=-1)

    def contraction(self, before: Float, after: Float, k: int) -> Float:
        # U_after^T v = A U_before^T v with A^T = U_before^-1 U_after, whose smallest singular value is at least 1 - |A - I|
        difference = np.linalg.solve(before, after) - np.eye(before.shape[-1])
        return np.broadcast_to(1.0 - np.linalg.norm(difference, axis=(-2, -1)), (k,))

    def precision_diagonals(self, prec_chol: Float, k: int, d: int) -> Float:
        diagonals = np.einsum("...ij,...ij->...i", prec_chol, prec_chol)
        return np.broadcast_to(diagonals, (k, d)) if self.pools else diagonals

    def precisions(self, prec_chol: Float) -> Float:
        return prec_chol @ np.swapaxes(prec_chol, -1, -2)

    def smallest_variances(self, covariances: Float, k: int, units: Float) -> Float:
        return np.broadcast_to(np.linalg.eigvalsh(covariances / np.outer(units, units))[..., 0], (k,))


class _Variances(Layout):
    """Components along the axes."""

    def matrices(self, values: Float, k: int, d: int) -> Float:
        return self.variances(values, k, d)[:, :, None] * np.eye(d)

    def unique_matrices(self, values: Float) -> Float | None:
        return None

    def draw(self, rng: np.random.RandomState, mean: NDArray, covariances: NDArray, i: int, n: int) -> NDArray:
        return mean + rng.standard_normal(size=(n, len(mean))) * np.sqrt(covariances[i])

    def precision_cholesky(self, covariances: Float) -> Float:
        bad = ~((covariances > 0) & (covariances < np.inf))
        if bad.any():
            component = int(np.argwhere(bad)[0, 0])
            raise NotPositiveDefinite(component, float(np.min(covariances[component])))
        return 1.0 / np.sqrt(covariances)

    def cholesky_of_precisions(self, precisions: Float) -> Float:
        return np.sqrt(precisions)

    def upper_factor(self, factors: Float) -> Float:
        if not factors.all():
            raise NotPositiveDefinite(int(np.argwhere(factors == 0)[0, 0]), 0.0)
        return np.abs(factors)

    def covariances(self, prec_chol: Float) -> Float:
        return 1.0 / prec_chol**2

    def lengths(self, prec_chol: Float, vectors: Float) -> Float:
        return np.linalg.norm(vectors * prec_chol.reshape(len(vectors), -1), axis=1)

    def contraction(self, before: Float, after: Float, k: int) -> Float:
        return (after / before).reshape(k, -1).min(axis=1)

    def precision_diagonals(self, prec_chol: Float, k: int, d: int) -> Float:
        return self.variances(prec_chol**2, k, d)

    def precisions(self, prec_chol: Float) -> Float:
        return prec_chol**2

    def smallest_variances(self, covariances: Float, k: int, units: Float) -> Float:
        return (covariances.reshape(k, -1) / units**2).min(axis=1)

    def trace(self, scatter: Float) -> float:
        return float(scatter.sum())

    def accumulator_shape(self, k: int, d: int) -> tuple[int, int]:
        return k, padded(d)


class FullLayout(_Matrices):
    name, axes = "full", "(n_components, n_features, n_features)"
    # a tile and its differences are read many times and share the level-1 cache (at d = 32 tiles of 128 took 1.15 times as
    # long as tiles of 64 on a Zen 5 with 48 KB)
    tile_bytes = 2**14

    def shape(self, k: int, d: int) -> tuple[int, ...]:
        return k, d, d

    def matrices(self, values: Float, k: int, d: int) -> Float:
        return values

    def of_matrices(self, matrices: Float) -> Float:
        return matrices

    def precision_cholesky(self, covariances: Float) -> Float:
        return factors(covariances)

    def log_det(self, prec_chol: Float, k: int, d: int) -> LongFloat:
        return _log_products(np.diagonal(prec_chol, axis1=1, axis2=2))

    def within(self, scatter: Float, sums: Float, counts: Float) -> Float:
        between = sums[:, :, None] * (sums / counts[:, None])[:, None, :]
        return np.subtract(scatter, between, out=between)

    def regularised(self, values: Float, reg_covar: float, counts: Float | None = None) -> Float:
        out, diagonal = np.array(values), np.arange(values.shape[-1])
        out[:, diagonal, diagonal] += np.asarray(reg_covar if counts is None else reg_covar * counts)[..., None]
        return out

    def expected_scatter(self, covariances: Float, weights: Float, d: int) -> Float:
        return weights[:, None, None] * covariances

    def cross(self, h: Float, c: Float) -> Float:
        cross = h[:, :, None] * c[:, None, :]
        return cross + np.swapaxes(cross, 1, 2)

    def trace(self, scatter: Float) -> float:
        return float(np.einsum("kii->", scatter))

    def of_full_scatter(self, scatter: Float) -> Float:
        return scatter

    def packed(
        self, constant: NDArray, means: NDArray, weights: Float, centres: Float, prec_chol: Float, tile: int
    ) -> Packed:
        u = pack_panels(prec_chol.astype(means.dtype))
        return Full(constant, means, u, centres.shape[1], tile)

    def accumulator_shape(self, k: int, d: int) -> tuple[int, int]:
        return k * scatter_width(d), scatter_width(d)

    def flops(self, d: int) -> int:
        return 2 * d * (d + 1)

    def collected(self, lanes: Float, k: int, d: int) -> Float:
        n, _, width = lanes.shape
        return symmetric(lanes.reshape(n, k, width, width).sum(axis=0)[:, :d, :d])


class TiedLayout(_Matrices):
    name, axes, pools = "tied", "(n_features, n_features)", True

    def shape(self, k: int, d: int) -> tuple[int, ...]:
        return d, d

    def matrices(self, values: Float, k: int, d: int) -> Float:
        return np.tile(values, (k, 1, 1))

    def of_matrices(self, matrices: Float) -> Float:
        return matrices[0]

    def entry(self, name: str, i: int) -> str:
        return name

    def precision_cholesky(self, covariances: Float) -> Float:
        return factors(covariances[None], shared=True)[0]

    def log_det(self, prec_chol: Float, k: int, d: int) -> LongFloat:
        return np.broadcast_to(_log_products(np.diagonal(prec_chol)[np.newaxis]), k)

    def within(self, scatter: Float, sums: Float, counts: Float) -> Float:
        return scatter - sums.T @ (sums / counts[:, None])

    def regularised(self, values: Float, reg_covar: float, counts: Float | None = None) -> Float:
        out = np.array(values)
        out[np.diag_indices(len(out))] += reg_covar if counts is None else reg_covar * counts.sum()
        return out

    def expected_scatter(self, covariances: Float, weights: Float, d: int) -> Float:
        return covariances

    def cross(self, h: Float, c: Float) -> Float:
        cross = h.T @ c
        return cross + cross.T

    def trace(self, scatter: Float) -> float:
        return float(np.trace(scatter))

    def of_full_scatter(self, scatter: Float) -> Float:
        return scatter.sum(axis=0)

    def packed(
        self, constant: NDArray, means: NDArray, weights: Float, centres: Float, prec_chol: Float, tile: int
    ) -> Packed:
        dtype, centre = means.dtype, weights @ centres
        transformed = (centres - centre) @ prec_chol
        half, u = np.full(len(weights), -0.5, dtype), pack_panels(prec_chol.astype(dtype))
        return Tied(constant, half, means, u, pad(centre, dtype), pad(transformed, dtype), centres.shape[1], tile)

    def with_flat(self, prec_chol: Float) -> Float:
        return prec_chol

    def flattened(self, packed: Packed) -> Packed:
        assert isinstance(packed, Tied)
        factor = packed.factor.copy()
        factor[-1] = 0.0
        return packed._replace(factor=factor)

    def accumulator_shape(self, k: int, d: int) -> tuple[int, int]:
        return 0, padded(d)

    def collected(self, lanes: Float, k: int, d: int) -> Float:
        return np.zeros((d, d))  # pooled from the total scatter: a sweep adds up none


class DiagLayout(_Variances):
    name, axes = "diag", "(n_components, n_features)"

    def shape(self, k: int, d: int) -> tuple[int, ...]:
        return k, d

    def variances(self, values: Float, k: int, d: int) -> Float:
        return values

    def of_matrices(self, matrices: Float) -> Float:
        return np.diagonal(matrices, axis1=1, axis2=2).copy()

    def marginal(self, covariances: Float, features: NDArray[np.intp], k: int) -> Float:
        return covariances[:, features, None] * np.eye(len(features))

    def log_det(self, prec_chol: Float, k: int, d: int) -> LongFloat:
        return _log_products(prec_chol)

    def within(self, scatter: Float, sums: Float, counts: Float) -> Float:
        return scatter - sums**2 / counts[:, None]

    def regularised(self, values: Float, reg_covar: float, counts: Float | None = None) -> Float:
        return values + np.asarray(reg_covar if counts is None else reg_covar * counts)[..., None]

    def expected_scatter(self, covariances: Float, weights: Float, d: int) -> Float:
        return weights[:, None] * covariances

    def cross(self, h: Float, c: Float) -> Float:
        return 2.0 * h * c

    def of_full_scatter(self, scatter: Float) -> Float:
        return np.diagonal(scatter, axis1=1, axis2=2).copy()

    def packed(
        self, constant: NDArray, means: NDArray, weights: Float, centres: Float, prec_chol: Float, tile: int
    ) -> Packed:
        half, scale = np.full(len(weights), -0.5, means.dtype), pad(prec_chol, means.dtype)
        return Diag(constant, half, means, scale, centres.shape[1], tile)

    def collected(self, lanes: Float, k: int, d: int) -> Float:
        return lanes.sum(axis=0)[:, :d]


class SphericalLayout(_Variances):
    name, axes = "spherical", "(n_components,)"

    def shape(self, k: int, d: int) -> tuple[int, ...]:
        return (k,)

    def variances(self, values: Float, k: int, d: int) -> Float:
        return np.broadcast_to(values[:, None], (k, d))

    def of_matrices(self, matrices: Float) -> Float:
        return matrices[:, 0, 0].copy()

    def marginal(self, covariances: Float, features: NDArray[np.intp], k: int) -> Float:
        return covariances[:, None, None] * np.eye(len(features))

    def log_det(self, prec_chol: Float, k: int, d: int) -> LongFloat:
        return d * np.log(prec_chol.astype(np.longdouble))

    def within(self, scatter: Float, sums: Float, counts: Float) -> Float:
        return (scatter - (sums**2).sum(axis=1) / counts) / sums.shape[1]

    def regularised(self, values: Float, reg_covar: float, counts: Float | None = None) -> Float:
        return values + np.asarray(reg_covar if counts is None else reg_covar * counts)

    def expected_scatter(self, covariances: Float, weights: Float, d: int) -> Float:
        return weights * covariances * d

    def cross(self, h: Float, c: Float) -> Float:
        return 2.0 * (h * c).sum(axis=1)

    def of_full_scatter(self, scatter: Float) -> Float:
        return np.diagonal(scatter, axis1=1, axis2=2).sum(axis=1)

    def n_alike(self, d: int) -> int:
        return d

    def packed(
        self, constant: NDArray, means: NDArray, weights: Float, centres: Float, prec_chol: Float, tile: int
    ) -> Packed:
        return Spherical(constant, (-0.5 * prec_chol**2).astype(means.dtype), means, centres.shape[1], tile)

    def largest_factor(self, limit: float) -> float:
        return float(np.sqrt(limit))  # kernels take the precision itself

    def collected(self, lanes: Float, k: int, d: int) -> Float:
        return lanes.sum(axis=0)[:, :d].sum(axis=1)


FULL, TIED, DIAG, SPHERICAL = FullLayout(), TiedLayout(), DiagLayout(), SphericalLayout()
LAYOUTS: dict[str, Layout] = {layout.name: layout for layout in (FULL, TIED, DIAG, SPHERICAL)}


def layout_named(name: str) -> Layout:
    """Return the layout of a name, as files and pickles have it."""
    return LAYOUTS[name]


def symmetric(upper: Float) -> Float:
    """Return symmetric matrices (..., d, d) from upper triangles with zeros below."""
    full = upper + np.swapaxes(upper, -1, -2)
    diagonal = np.arange(upper.shape[-1])
    full[..., diagonal, diagonal] = upper[..., diagonal, diagonal]
    return full


def padded(d: int) -> int:
    """Return the features that kernels are given for d of them: a multiple of 4."""
    return -(-d // 4) * 4


def pad(array: NDArray, dtype: DTypeLike) -> NDArray:
    """Copy `array` into `dtype`, its last axis padded with zeros for the kernels."""
    d = array.shape[-1]
    out = np.zeros((*array.shape[:-1], padded(d)), dtype)
    out[..., :d] = array
    return out


def _log_products(values: Float) -> LongFloat:
    """Return the logarithm of the product of each row of (k, d), shape (k,).

    It takes one logarithm of the product of 512 mantissas, none below 1/2: a logarithm each in extended precision would take six
    times as long at 256 x 39.
    """
    mantissas, exponents = np.frexp(values)
    products = np.multiply.reduceat(mantissas.astype(np.longdouble), np.arange(0, values.shape[1], 512), axis=1)
    return np.log(products).sum(axis=1) + exponents.sum(axis=1) * _LOG_2
