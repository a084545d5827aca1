"""Early stopping of restarts, and the warning that the best optimum was reached only once.

Evidence for the rule of `CannotCatchUp`: 1152 fits of 10 starts each, all run to the end, then judged by it. Data: Iris, Old
Faithful, wine, breast cancer, 13 mixtures of 800 or 1000 samples (means 1.5 to 4 standard deviations apart, one stretched). Four
types, four kinds of starts, k that of the data and more, up to twice. Iterations done, of all, and fits whose winner
ended more than `tol` below the true one:

    times the last gain    tol 1e-3, max_iter 100    1e-4, 100         1e-4, 300         1e-5, 300
    0.5                    94 %   0.7 %              65 %   13 %       89 %   2.8 %      50 %   26 %
    1                      97 %   0.3 %              79 %   5.0 %      94 %   1.1 %      62 %   17 %
    2                      99 %   0.1 %              89 %   2.0 %      98 %   0.8 %      76 %   9.6 %
    3                      99 %   0 of 1152          92 %   1.3 %      98 %   0.5 %      83 %   5.6 %

The winners lost at 1e-5 were better by 0.003 a sample in the median. Ten starts stopped early at 76 % of the cost
miss the best of ten in 10 % of the fits; 7.6 whole starts, the same cost, would in up to 24 %. The projection g r / (1 - r) from
the ratio r of the last gains g, times 5, saves more (26 % at 1e-3) and changes 8 % of the winners there: EM leaves
plateaus that it does not foresee. Running all starts for 5 or 10 iterations first, and then in order of their bounds, saved
1 % more: not worth its complications. Early bounds say little about the final one: continuing with the better half after 5
iterations costs 66 % and loses 12 % of the winners by more than tol (320 fits at 1e-3). 7 starts in place of 10 lose as many at
70 %. Starts that come to the optimum of the best one are run to the end, since scikit-learn's answer depends on which of them
ends highest.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from fastgmm.em.stop import Reason
from fastgmm.model.params import Params

#: Most that each iteration that is left may gain, in units of the last gain.
_GROWTH = 2.0
#: Iterations before a start may be stopped early, and the last gains that must not have grown.
_LEAST, _FALLING = 5, 4
#: Bounds within this many `tol` are taken for the same optimum: EM stops short of it by tol r / (1 - r), r the rate of convergence.
_SAME = 10.0


@dataclass(frozen=True)
class CannotCatchUp:
    """Stop a run that will not reach the bound of the incumbent, the best of the runs before.

    It will not if it would stay below even if each iteration left up to `max_iter` brought twice as much as its last one. The
    rule does not apply before 5 iterations, nor if one of the last 4 gains grew.
    """

    incumbent: float
    max_iter: int

    def __call__(self, bounds: Sequence[float]) -> Reason | None:
        n_iter = len(bounds)
        if n_iter < _LEAST:
            return None
        last = np.abs(np.diff(bounds[-_FALLING - 1 :]))
        if not (np.diff(last) <= 0).all():
            return None
        if bounds[-1] + _GROWTH * last[-1] * (self.max_iter - n_iter) < self.incumbent:
            return Reason(False, f"cannot reach the bound {self.incumbent:.6g}")
        return None


def fingerprint(params: Params) -> str:
    """Return a fingerprint (digest) of first weights and means, the same for components in another order.

    k-means that ends at a partition of an earlier start has the bits of its means, and EM would take the same path again.
    Covariances follow from the partition; a tied one has other last digits if the order differs, and is left out.
    """
    rows = np.column_stack([params.weights, params.means])
    rows = rows[np.lexsort(rows.T[::-1])] + 0.0  # no negative zeros
    return hashlib.sha256(rows.tobytes()).hexdigest()


def found_once(final_bounds: Sequence[float], tol: float, where: str = "") -> str:
    """Return a warning if only one of several starts reached the highest of the `final_bounds`; else ''.

    `where` says of which samples the bounds are, unless of all.
    """
    best, *others = sorted(final_bounds, reverse=True)
    if len(others) < 2 or not math.isfinite(best) or best - others[0] <= max(_SAME * tol, 1e-6 * abs(best)):
        return ""
    return (
        f"only one of {len(final_bounds)} starts reached the lower bound {best:.6g}{where}; the second best came to "
        f"{others[0]:.6g}, {best - others[0]:.3g} below. More starts may find a better one: raise n_init, "
        "or try another init_params, such as 'auto'"
    )
