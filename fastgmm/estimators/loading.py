"""Load a model from a file."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from typing import Any

from numpy.typing import NDArray

from fastgmm.em.online import Averages
from fastgmm.estimators import bayesian_gaussian_mixture, classifier, gaussian_mixture, outlier_detector, regressor
from fastgmm.estimators.left_out import LeftOut
from fastgmm.estimators.saving import COMPOSITES, SAVED
from fastgmm.io import model_file
from fastgmm.io.archive import noise_in
from fastgmm.model.layouts import Layout
from fastgmm.model.priors import NormalInverseWishart
from fastgmm.model.stats import Stats
from fastgmm.model.structures import STRUCTURES

__all__ = ["load"]

# the imports have registered them in `SAVED` and `COMPOSITES`
assert classifier.GaussianMixtureClassifier in COMPOSITES.values()
assert outlier_detector.GaussianMixtureOutlierDetector in COMPOSITES.values()
assert regressor.GaussianMixtureRegressor in COMPOSITES.values()
assert bayesian_gaussian_mixture.BayesianGaussianMixture in SAVED.values()
assert gaussian_mixture.GaussianMixture in SAVED.values()


def load(path: str | os.PathLike[str]) -> Any:
    """Read a model or estimator from a file that its method `save` wrote.

    Nothing in the file is executed, whoever wrote it. Its contents are checked before a model is made of them.

    Parameters
    ----------
    path : str or path-like
        File to read.

    Returns
    -------
    GaussianMixture, BayesianGaussianMixture or an estimator made of mixtures
        An object of the class that was saved, such as `GaussianMixtureRegressor`, with the same arguments and fitted
        attributes, to the bit. A generator in `random_state` was saved as None; `candidates_` of a classifier is empty.

    Raises
    ------
    ValueError
        If the file does not hold a model, is damaged or incomplete, contradicts itself, or has a newer format than this
        version of fastgmm knows.
    OSError
        If the file cannot be opened.

    See Also
    --------
    GaussianMixture.save : Write a model.
    GaussianMixture.from_sklearn : Convert a model of scikit-learn.

    Examples
    --------
    >>> import os, tempfile
    >>> import fastgmm
    >>> model = fastgmm.GaussianMixture.from_parameters([0.3, 0.7], [[5.0], [1.0]], [[[1.0]], [[2.0]]])
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = os.path.join(folder, "model.npz")
    ...     model.save(path)
    ...     again = fastgmm.load(path)
    >>> again.predict([[4.0], [0.0]]).tolist()
    [0, 1]
    """
    known, composed = (
        {name: cls._parameter_names() for name, cls in classes.items()} for classes in (SAVED, COMPOSITES)
    )
    contents = model_file.read(path, known, composed)
    if isinstance(contents, model_file.Contents):
        return _mixture(contents)
    model = COMPOSITES[contents.class_name](**contents.params)
    try:
        model._restore([_mixture(part) for part in contents.parts], contents.arrays)
    except (ValueError, KeyError) as problem:
        missing = f"it lacks {problem}" if isinstance(problem, KeyError) else str(problem)
        raise ValueError(
            f"{os.fspath(path)} cannot be loaded as a fastgmm model: {missing}; the file is damaged or was changed, save the model "
            "again"
        ) from None
    return model


def _mixture(contents: model_file.Contents) -> Any:
    """Return the mixture that checked contents describe."""
    entries = contents.entries
    model: Any = SAVED[contents.class_name](**contents.params)
    for entry in model_file.PARAMETERS:
        setattr(model, entry, entries[entry])
    model.converged_ = bool(entries["converged_"])
    model.n_iter_ = int(entries["n_iter_"])
    model.n_passes_ = int(entries["n_passes_"])
    model.lower_bound_ = float(entries["lower_bound_"])
    model.lower_bounds_ = entries["lower_bounds_"].tolist()
    model.n_features_in_ = int(entries["n_features_in_"])
    if "feature_names_in_" in entries:
        model.feature_names_in_ = entries["feature_names_in_"].astype(object)
    if "component_labels_" in entries:
        model.component_labels_ = entries["component_labels_"]
    if "n_resets_" in entries:
        model.n_resets_ = int(entries["n_resets_"])
    if (noise := noise_in(entries, model.n_features_in_)) is not None:
        model.noise_ = noise
    if "prior.mean" in entries:
        model.prior_ = NormalInverseWishart.of_arrays(entries[f"prior.{part}"] for part in model_file.PRIOR)
    if model_file.is_variational(contents.params):
        for entry in model_file.POSTERIOR:
            value = entries[entry]
            setattr(model, entry, value if value.ndim else value.item())
        if model.weight_concentration_.ndim == 2:
            model.weight_concentration_ = tuple(model.weight_concentration_)
    if contents.averages is not None:
        noise_count = float(entries.get("averages.noise", 0.0))
        model._averages = _averages(contents.averages, STRUCTURES[model.covariance_type].layout, noise_count)
    elif (contents.version == 1 and not model.converged_) or contents.averages_lost:
        model._averages_lost = True
    if "left_out" in entries:
        names = entries.get("left_out_of")
        model._left_out = LeftOut(entries["left_out"], None if names is None else names.astype(object))
    return model


def _averages(parts: Mapping[str, NDArray[Any]], layout: Layout, noise: float) -> Averages:
    counts, sums, scatter, origin = (parts[part] for part in model_file.STATS)
    # no M-step uses the likelihood of the batches
    stats = Stats(layout, int(parts["n_samples"]), math.nan, counts, sums, scatter, origin, noise=noise)
    return Averages(stats, int(parts["n_steps"]), float(parts["weight"]), bool(parts["ready"]))
