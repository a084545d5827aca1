"""One pass of online EM against EM to convergence: ``python -m bench.online``.

The samples of a mixture go through `partial_fit` once, in batches; EM gets all of them, as often as it takes. Both start from the
same parameters, found from the first batch. What is printed is the mean log-likelihood of all samples under either result.
"""

from __future__ import annotations

import argparse
import sys
import warnings
from typing import Any

import numpy as np

from bench import environment
from fastgmm import GaussianMixture
from fastgmm.datasets import make_mixture


def start(batch: Any, k: int, init: str, seed: int) -> dict[str, Any]:
    """Start parameters from a batch, as arguments."""
    found = GaussianMixture(k, init_params=init, max_iter=0, random_state=seed).fit(batch)
    weights = found.weights_ / found.weights_.sum()  # those of points are 1 / n each
    return {"weights_init": weights, "means_init": found.means_, "precisions_init": found.precisions_}


def one_pass(X: Any, batch_size: int, arguments: dict[str, Any]) -> GaussianMixture:
    """A model that has seen each batch of X once."""
    model = GaussianMixture(**arguments)
    for begin in range(0, len(X), batch_size):
        model.partial_fit(X[begin : begin + batch_size])
    return model


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=int, default=1_000_000)
    parser.add_argument("--features", type=int, default=8)
    parser.add_argument("--components", type=int, default=10)
    parser.add_argument("--separation", type=float, default=4.0, help="distance of means, in standard deviations")
    parser.add_argument("--batch-sizes", type=int, nargs="+", default=[1000, 3000, 10000])
    parser.add_argument("--init", default="kmeans")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--decay", type=float, nargs="+", default=[GaussianMixture().learning_decay])
    parser.add_argument("--offset", type=float, nargs="+", default=[GaussianMixture().learning_offset])
    parser.add_argument("--tol", type=float, default=1e-5, help="of EM")
    options = parser.parse_args()
    warnings.filterwarnings("ignore", message=".*did not converge")
    print("seed  batch decay offset      start   one pass         EM  loss %  passes of EM")
    for seed in options.seeds:
        mixture = make_mixture(
            options.samples, options.features, options.components, separation=options.separation, random_state=seed
        )
        X = np.ascontiguousarray(mixture.X)
        for batch_size in options.batch_sizes:
            arguments = {
                "n_components": options.components,
                **start(X[:batch_size], options.components, options.init, seed),
            }
            before = GaussianMixture(max_iter=0, **arguments).fit(X).score(X)
            em = GaussianMixture(tol=options.tol, max_iter=500, **arguments).fit(X)
            best = em.score(X)
            for decay in options.decay:
                for offset in options.offset:
                    model = one_pass(X, batch_size, {**arguments, "learning_decay": decay, "learning_offset": offset})
                    found = model.score(X)
                    print(
                        f"{seed:4d} {batch_size:6d} {decay:5.2f} {offset:6.1f} {before:10.5f} {found:10.5f} {best:10.5f} "
                        f"{100 * (best - found) / abs(best):7.3f} {em.n_iter_:12d}",
                        flush=True,
                    )


if __name__ == "__main__":
    sys.exit(environment.command(main))
