"""Variational inference of a mixture: prior, posterior, expected log-densities, and the lower bound of the evidence.

D. M. Blei and M. I. Jordan, Variational inference for Dirichlet process mixtures, Bayesian Analysis 1(1), 2006; C. M. Bishop,
Pattern Recognition and Machine Learning, 2006, section 10.2; H. Attias, A variational Bayesian framework for graphical models,
NIPS 1999. In the notation of these and of scikit-learn's `BayesianGaussianMixture`, whose conventions are followed, the
posterior of n_k samples with the mean xbar_k and the scatter W_k about it is

    weights     Dirichlet(alpha_0 + n_k); or, of a Dirichlet process cut off at k components, stick lengths
                v_k ~ Beta(1 + n_k, alpha_0 + sum_{j > k} n_j) with pi_k = v_k prod_{j < k} (1 - v_j)
    means       N(m_k, (beta_k Lambda_k)^-1),  beta_k = beta_0 + n_k,  m_k = (beta_0 m_0 + n_k xbar_k) / beta_k
    precisions  Wishart(C_k^-1, nu_k),  nu_k = nu_0 + n_k,
                C_k = C_0 + W_k + (beta_0 n_k / beta_k) (xbar_k - m_0)(xbar_k - m_0)^T

with the diagonal of C_k, or the mean of that, for diagonal and spherical covariances. One that all components share has
nu = nu_0 + n / k and the mean over components of C_k. The covariance of a component is C_k / nu_k.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from fastgmm.model.layouts import LongFloat
from fastgmm.model.params import Params
from fastgmm.model.stats import Stats
from fastgmm.model.structures import COUNT_FLOOR, Structure, symmetric

# scipy.special takes a quarter of a second to import: only functions that need it do.

Float = NDArray[np.float64]

_LOG_2 = float(np.log(2.0))


@dataclass(frozen=True)
class VariationalPrior:
    """Prior of weights, means and covariances.

    process : whether weights are those of a Dirichlet process, else of a Dirichlet distribution
    concentration : alpha_0; mean : (d,), m_0; mean_precision : beta_0; dof : nu_0, above d - 1
    covariance : C_0 of one component in the layout: (d, d), its diagonal (d,), or the mean of that ()
    """

    process: bool
    concentration: float
    mean: Float
    mean_precision: float
    dof: float
    covariance: Float


@dataclass(frozen=True, kw_only=True)
class Posterior(Params):
    """The variational posterior, with the mixture of its expectations: what the sweeps take parameters from.

    concentration : (k,), of the Dirichlet distribution; or (2, k), of the Beta distributions of a Dirichlet process
    mean_precision : (k,), beta_k
    dof : (k,), nu_k, all equal if components share their covariance
    """

    concentration: Float
    mean_precision: Float
    dof: Float

    parts: ClassVar[tuple[str, ...]] = (*Params.parts, "concentration", "mean_precision", "dof")

    def normalised(self) -> Posterior:
        """Return the posterior: its weights are expectations, and add up to 1."""
        return self

    def with_weights(self, weights: Float) -> Posterior:
        """Return the posterior: its weights follow from the concentrations."""
        return self

    def log_constants(self, *, weighted: bool = True) -> LongFloat:
        """Return the constants of E log N(x; mu_k, Lambda_k^-1), and with `weighted` of E log pi_k, shape (k,).

        E log |Lambda_k| = sum_{j < d} psi((nu_k - j) / 2) + d log 2 - log |C_k|, of which the mixture has -log |C_k / nu_k|; and
        E (x - mu_k)^T Lambda_k (x - mu_k) = d / beta_k + nu_k (x - m_k)^T C_k^-1 (x - m_k).
        """
        constant: LongFloat = super().log_constants(weighted=False) + self._log_expected
        return constant + self.log_weights if weighted else constant

    def log_offsets(self, *, weighted: bool = True) -> LongFloat:
        """Return what `log_constants` have in addition to those of the normal distribution, shape (k,)."""
        return self._log_expected + self.log_weights if weighted else self._log_expected

    @property
    def _log_expected(self) -> LongFloat:
        """Return the difference between E log N and the logarithm of N at the expected covariance, shape (k,)."""
        from scipy.special import digamma

        d = self.means.shape[1]
        halves = 0.5 * (self.dof[:, None] - np.arange(d))
        log_det = digamma(halves).sum(axis=1) + d * (_LOG_2 - np.log(self.dof))
        expected: LongFloat = (0.5 * (log_det - d / self.mean_precision)).astype(np.longdouble)
        return expected

    @property
    def log_weights(self) -> Float:
        """Return E log pi_k, shape (k,)."""
        from scipy.special import digamma

        if self.concentration.ndim == 1:
            return digamma(self.concentration) - digamma(self.concentration.sum())
        each = digamma(self.concentration) - digamma(self.concentration.sum(axis=0))
        return each[0] + np.concatenate([[0.0], np.cumsum(each[1])[:-1]])

    @property
    def evidence(self) -> float:
        """Return the lower bound of the log-evidence less the entropy of the responsibilities, up to a constant of the prior.

        It is the sum of the logarithms of the normalisers of the Wishart, Dirichlet or Beta, and normal distributions, each as a
        function of the posterior. All other terms of the bound cancel where the posterior is the maximum given the
        responsibilities.
        """
        from scipy.special import betaln, gammaln

        k, d = self.means.shape
        halves = 0.5 * (self.dof[:, None] - np.arange(d))
        # log |C_k|^(-1/2)
        log_det = self.layout.log_det(self.prec_chol, k, d) - 0.5 * d * np.log(self.dof)
        wishart = self.dof * (log_det + 0.5 * d * _LOG_2) + gammaln(halves).sum(axis=1)
        if self.concentration.ndim == 1:
            weights = gammaln(self.concentration).sum() - gammaln(self.concentration.sum())
        else:
            weights = betaln(*self.concentration).sum()
        return float(wishart.sum() + weights - 0.5 * d * np.log(self.mean_precision).sum())


def expected_weights(concentration: Float) -> Float:
    """Return the expected weights, shape (k,); of a process that is cut off they are divided by their sum."""
    if concentration.ndim == 1:
        return concentration / concentration.sum()
    stick = concentration / concentration.sum(axis=0)
    weights = stick[0] * np.concatenate([[1.0], np.cumprod(stick[1])[:-1]])
    return weights / weights.sum()


# covariances that overflow or are NaN have no Cholesky factors, which raises the error
@np.errstate(over="ignore", invalid="ignore", divide="ignore")
def posterior(prior: VariationalPrior, structure: Structure, stats: Stats, reg_covar: float) -> Posterior:
    """Return the posterior given the statistics of responsibilities, whose counts are of samples: the M-step.

    `reg_covar` is added to the variances of the samples. Raises NotPositiveDefinite if a covariance is singular.
    """
    layout, k = stats.layout, len(stats.counts)
    counts = stats.counts + COUNT_FLOOR
    moves = stats.sums / counts[:, None]
    moves[stats.counts <= COUNT_FLOOR] = 0.0
    mean_precision = prior.mean_precision + counts
    delta = stats.origin + moves - prior.mean
    # beta_0 n_k / beta_k delta delta^T joins the scatter; `within` takes that between the origin and the new mean out
    pulled = (0.5 * prior.mean_precision * counts / mean_precision)[:, None] * delta
    within = layout.within(stats.scatter + layout.cross(pulled, delta), stats.sums, counts)
    within = layout.regularised(within, reg_covar, counts)
    share = np.full(k, counts.sum() / k) if layout.pools else counts
    dof = prior.dof + share
    # a pooled scatter is the sum over components, and so is its prior
    own = np.broadcast_to(prior.covariance, within.shape) * (k if layout.pools else 1)
    covariances = symmetric(structure.maximise(own + within, dof, None))
    concentration = _concentration(prior, counts)
    means = prior.mean + (counts / mean_precision)[:, None] * delta
    return Posterior(
        layout,
        expected_weights(concentration),
        means,
        covariances,
        layout.precision_cholesky(covariances),
        concentration=concentration,
        mean_precision=mean_precision,
        dof=dof,
    )


def _concentration(prior: VariationalPrior, counts: Float) -> Float:
    if not prior.process:
        return prior.concentration + counts
    later = np.concatenate([np.cumsum(counts[::-1])[-2::-1], [0.0]])
    return np.stack([1.0 + counts, prior.concentration + later])


def statistics(prior: VariationalPrior, params: Posterior, reg_covar: float) -> Stats:
    """Return the statistics that `posterior` makes `params` of, about its means: what the prior has not told it.

    Counts come from the mean precisions, n_k = beta_k - beta_0. The result is of samples, n of them in all.
    """
    layout, d = params.layout, params.means.shape[1]
    counts = np.maximum(params.mean_precision - prior.mean_precision, COUNT_FLOOR)
    # m_k - m_0 = n_k / beta_k (xbar_k - m_0)
    pull = prior.mean_precision / counts
    sums = (counts * pull)[:, None] * (params.means - prior.mean)  # n_k (xbar_k - m_k)
    delta = (params.mean_precision / counts)[:, None] * (params.means - prior.mean)
    pulled = (0.5 * prior.mean_precision * counts / params.mean_precision)[:, None] * delta
    k = len(counts)
    # C_k of all components as `expected_scatter` has them, which expects the sum of pooled ones
    whole = params.covariances * (params.dof.sum() if layout.pools else _along(params.dof, params.covariances))
    own = np.broadcast_to(prior.covariance, whole.shape) * (k if layout.pools else 1)
    within = layout.regularised(whole - own, -reg_covar, counts)
    scatter = layout.expected_scatter(within, np.ones(k), d) - layout.cross(pulled, delta)
    # about the means of the posterior, not those of the samples
    scatter = scatter + layout.cross(0.5 * sums / counts[:, None], sums)
    return Stats(layout, round(float(counts.sum())), float("nan"), counts, sums, scatter, params.means)


def _along(values: Float, array: Float) -> Float:
    """Return values (k,) so that they multiply the first axis of `array` (k, ...)."""
    return values.reshape(-1, *[1] * (array.ndim - 1))


def entropy(stats: Stats, params: Params) -> float:
    """Return -sum_ik r_ik log r_ik of the responsibilities of a sweep with `params`, weighted, from its statistics.

    With l_ik = c_k - 1/2 |U_k^T (x_i - m_k)|^2, log r_ik = l_ik - log sum_j exp l_ij. Then sum_i r_ik l_ik = n_k c_k - 1/2
    tr(P_k S_k), S_k the scatter about the means of the sweep. The terms cancel: the absolute error is about 1e-16 of sum_i |l_i|,
    with constants and factors as the kernels have them.
    """
    layout, dtype = params.layout, stats.dtype
    constant = params.log_constants().astype(dtype).astype(np.float64)
    precisions = layout.precisions(params.prec_chol.astype(dtype).astype(np.float64))
    expected = float(stats.counts @ constant) - 0.5 * float((precisions * stats.scatter).sum())
    return stats.log_likelihood - expected
