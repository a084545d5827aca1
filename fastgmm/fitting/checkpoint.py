"""Checkpoints: the state of a fit in a file, so that it can be killed and resumed to the same bits.

The file is an archive (`io.archive`: ``.npz`` without pickle). Its entries, format version 1:

=========================  =======================  ================================================================
entry                      dtype                    what
=========================  =======================  ================================================================
``header``                 string, 0-d              JSON object, see below
``random.first``           uint32 (626,)            random generator before the first draw of the fit: the key of the
                                                    Mersenne twister, its position, whether a normal draw is held
``random.first.gauss``     float64, 0-d             that draw, or 0
``random``                 uint32 (626,)            the generator before the draws of start ``start``, or after them
                                                    if that start is running
``random.gauss``           float64, 0-d
``running.weights``        float64 (k,)             only if start ``start`` is running: parameters after its last
``running.means``          float64 (k, d)           iteration
``running.covariances``    float64, by type
``running.prec_chol``      float64, by type         factor U of the precisions, U U^T
``running.lower_bounds``   float64 (n,)             one for each of its iterations
``accelerated.n_passes``   int64, 0-d                only if that start is accelerated: its sweeps so far
``accelerated.eta``, ...   float64, 0-d             likewise: the numbers that its accelerator holds (`em.accelerate`)
``accelerated.after...``   float64                  likewise: statistics that it holds, each ``.counts`` (k,), ``.sums``
                                                    (k, d), ``.scatter`` by type and ``.origin`` (k, d)
``running.noise.weight``,  float64                   only with noise (`model.noise`): its weight, and ``.axes`` (d, d), ``.low``
...                                                 and ``.high`` (d,) of its box; likewise of ``plain`` and ``best``
``running.concentration``, float64 (k,) or (2, k)    only of a variational fit (`model.variational`), and ``.mean_precision`` and
...                        and (k,)                  ``.dof``; likewise of ``plain`` and ``best``
``plain.weights``, ...     as above                 only if that start continues from a proposal: the M-step in its place
``best.weights``, ...      as above                 only if a start was finished: parameters of the best one
``best.lower_bounds``      float64 (n,)
``best.lower_bound``       float64, 0-d             the last of these
``best.converged``         bool, 0-d
``best.n_passes``          int64, 0-d                its sweeps
``best.start``             int64, 0-d               its number, counted from 0
``final_bounds``           float64 (start,)         final bounds of the starts before, those stopped early included
=========================  =======================  ================================================================

The header holds

- ``format`` ("fastgmm-checkpoint"), ``format_version`` (1), ``fastgmm_version``;
- ``start``: number of the running or next start, counted from 0; that of all starts if the fit was about to end;
- ``warm``: whether it continues an earlier fit;
- ``fingerprint`` and ``best_fingerprint``: digests of the first parameters of the running start and of the best one, to
  recognise a start that begins where the best one did;
- ``resets``, only if there were any: how often components of the running start were started anew, the passes up to the last time,
  and how often those of the best one were;
- the objects ``settings`` and ``data``: settings and data of the fit, or digests of them, to refuse a file of another fit.
"""

from __future__ import annotations

import hashlib
import math
import numbers
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastgmm._atomic import check_writable
from fastgmm._errors import warn
from fastgmm.data.labelled import LabelledSource
from fastgmm.data.source import Source
from fastgmm.em.accelerate import ACCELERATORS, Accelerated, state_of
from fastgmm.em.result import FitResult
from fastgmm.io import archive
from fastgmm.io.model_file import is_variational
from fastgmm.model.params import Params
from fastgmm.model.priors import NormalInverseWishart
from fastgmm.model.stats import Stats
from fastgmm.model.structures import STRUCTURES
from fastgmm.model.variational import Posterior

_KIND = archive.Kind(
    "fastgmm-checkpoint",
    1,
    what="a checkpoint of a fit",
    written_by="a file that fit(..., checkpoint=path) wrote",
    remedy="delete it or choose another path",
)
_KEY = 624
#: Arrays of a mixture, and of a variational posterior.
_MIXTURE, _POSTERIOR = Params.parts, Posterior.parts
_STATS = ("counts", "sums", "scatter", "origin")
_DIGEST = "sha256:"


class RngState(NamedTuple):
    """State of a Mersenne twister: key (624,), position, whether a normal draw is held, that draw."""

    key: NDArray[np.uint32]
    position: int
    has_gauss: int
    gauss: float

    @classmethod
    def of(cls, random_state: np.random.RandomState) -> RngState:
        """Return the state of a generator; ValueError if it is not a Mersenne twister."""
        state: dict[str, Any] = random_state.get_state(legacy=False)
        if state["bit_generator"] != "MT19937":
            raise ValueError(
                f"a checkpoint cannot hold the state of the generator {state['bit_generator']}: pass an integer, None or a "
                "numpy.random.RandomState as random_state"
            )
        inner = state["state"]
        return cls(np.array(inner["key"], np.uint32), int(inner["pos"]), int(state["has_gauss"]), float(state["gauss"]))

    def generator(self) -> np.random.RandomState:
        """Return a new generator in this state."""
        random_state = np.random.RandomState(0)
        random_state.set_state(("MT19937", *self))
        return random_state


@dataclass(frozen=True)
class FitState:
    """State of a fit.

    start : number of the running or next start; warm : whether it continues an earlier fit
    first, draws : RNG state before all draws, and before those of `start`, or after them if it is running
    params, bounds, n_iter : if `start` is running, its parameters, and as the first `n_iter` of `bounds` its bounds so far
    accelerated : if it is running and accelerated, what it resumes from besides
    best, best_start : the best of the starts before and its number
    fingerprint, best_fingerprint : fingerprints of the first parameters of `start`, if it is running, and of the best one
    final_bounds : final bounds of the starts before
    resets : how often components of the running start were started anew, and the passes up to the last time
    """

    start: int
    warm: bool
    first: RngState | None = None
    draws: RngState | None = None
    params: Params | None = None
    bounds: tuple[float, ...] | list[float] = ()
    n_iter: int = 0
    accelerated: Accelerated | None = None
    best: FitResult | None = None
    best_start: int = 0
    fingerprint: str = ""
    best_fingerprint: str = ""
    final_bounds: tuple[float, ...] | list[float] = ()
    resets: tuple[int, int] = (0, 0)

    @property
    def lower_bounds(self) -> list[float]:
        """Return the bounds of the iterations of the running start."""
        return list(self.bounds[: self.n_iter])

    @property
    def running(self) -> FitResult | None:
        """Return the result of the running start so far, if it has done an iteration."""
        if self.params is None or self.n_iter == 0:
            return None
        bounds, params, n_passes = self.lower_bounds, self.params, self.n_iter
        if self.accelerated is not None:  # a proposal may have to be rejected
            n_passes = self.accelerated.n_passes
            params = params if self.accelerated.plain is None else self.accelerated.plain
        count, passes = self.resets
        return FitResult(params, False, self.n_iter, bounds[-1], bounds, n_passes + passes, n_resets=count)


class Checkpoint:
    """The file of a fit. Raises OSError at once if it could not be written."""

    kind, task = _KIND, "fit"

    def __init__(self, path: Any, every: float) -> None:
        if not isinstance(path, (str, os.PathLike)):
            raise TypeError(f"checkpoint must be a path or None, got {path!r} of type {type(path).__name__}")
        self.path, self.every = os.fspath(path), every
        check_writable(self.path)
        self._where = os.path.abspath(self.path)  # wherever the process goes meanwhile
        self._written = time.monotonic()
        self._identity: dict[str, dict[str, Any]] = {}

    def identify(self, settings: dict[str, Any], data: dict[str, Any]) -> None:
        """Set the settings and data of the fit; to be called before reading and writing."""
        self._identity = {"settings": settings, "data": data}

    def write_if_due(self, position: FitState) -> None:
        """Write if the last time is longer ago than it should be. A failure is a warning: the fit continues."""
        if self._is_due():
            self._attempt(lambda: self.write(position))

    def _is_due(self) -> bool:
        return time.monotonic() - self._written >= self.every

    def _attempt(self, write: Callable[[], None]) -> None:
        try:
            write()
        except OSError as error:
            warn(
                f"the checkpoint {self.path} could not be written ({error}); the {self.task} continues without it",
                UserWarning,
            )
        self._written = time.monotonic()

    def write(self, position: FitState) -> None:
        """Write the file; OSError if that fails, and then an earlier one is left as it was."""
        assert position.first is not None
        assert position.draws is not None
        entries = _of_draws("random.first", position.first) | _of_draws("random", position.draws)
        if position.params is not None:
            entries |= _of_mixture("running", position.params, position.lower_bounds)
        if position.accelerated is not None:
            entries |= _of_accelerated(position.accelerated)
        if (best := position.best) is not None:
            entries |= _of_mixture("best", best.params, best.lower_bounds)
            entries["best.lower_bound"] = np.array(best.lower_bound, np.float64)
            entries["best.converged"] = np.array(best.converged, np.bool_)
            entries["best.n_passes"] = np.array(best.n_passes, np.int64)
            entries["best.start"] = np.array(position.best_start, np.int64)
            entries["final_bounds"] = np.array(position.final_bounds, np.float64)
        marks = {"fingerprint": position.fingerprint, "best_fingerprint": position.best_fingerprint}
        best_resets = 0 if best is None else best.n_resets
        header = {"start": position.start, "warm": position.warm, **marks, **self._identity}
        if any(resets := [*position.resets, best_resets]):
            header["resets"] = resets
        archive.write(self._where, _KIND, header, entries)
        self._written = time.monotonic()

    def read(self, n_starts: int) -> FitState | None:
        """Return the state of the fit in this file; None if there is no file.

        Raises ValueError if the file is damaged, is not one of fastgmm's or belongs to another fit.
        """
        found = self._contents()
        if found is None:
            return None
        try:
            return _position(*found, self._identity, n_starts)
        except ValueError as error:
            raise archive.refusal(self.path, _KIND, f"{error}; {_KIND.remedy}") from None

    def _contents(self) -> tuple[dict[str, Any], archive.Arrays] | None:
        """Return header and entries of the file, which are of this fit; None if there is no file."""
        if not os.path.exists(self._where):
            return None
        header, entries = archive.read(self._where, self.kind)
        try:
            self._compare(header)
        except _Other as error:
            raise ValueError(
                f"{self.path} is the checkpoint of another {self.task}: {error}; {self.kind.remedy}"
            ) from None
        except ValueError as error:
            raise archive.refusal(self.path, self.kind, f"{error}; {self.kind.remedy}") from None
        return header, entries

    def exists(self) -> bool:
        """Return whether there is a file now."""
        return os.path.exists(self._where)

    def remove(self) -> None:
        """Remove the file of a fit that has ended."""
        if os.path.exists(self._where):
            os.unlink(self._where)

    def _compare(self, header: dict[str, Any]) -> None:
        for part, now in self._identity.items():
            then = header.get(part)
            if not isinstance(then, dict) or set(then) != set(now):
                raise ValueError(f"its header holds no usable {part}")
            different = [_difference(name, then[name], value) for name, value in now.items() if then[name] != value]
            if different:
                raise _Other(", ".join(different))


class _Other(ValueError):
    """Settings or data are not those of the file."""


def _difference(name: str, then: Any, now: Any) -> str:
    if any(isinstance(value, str) and value.startswith(_DIGEST) for value in (then, now)):
        return f"{name} is not what it was"
    return f"{name} was {str(then)[:40]} and is {now} now"


# --- settings and data of a fit ---


def settings_of(class_name: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Return the estimator's class and those of its arguments that the results of a fit depend on."""
    settings: dict[str, Any] = {"class": class_name}
    for name, value in arguments.items():
        if name in ("verbose", "verbose_interval", "n_threads"):
            continue
        if name == "random_state":
            known = value is None or isinstance(value, (int, np.integer))
            settings[name] = (value if value is None else int(value)) if known else "generator"
        elif value is None or isinstance(value, (str, bool, np.bool_)):
            settings[name] = bool(value) if isinstance(value, np.bool_) else value
        elif isinstance(value, numbers.Real):
            settings[name] = int(value) if isinstance(value, numbers.Integral) else float(value)
        elif isinstance(value, Mapping):  # `fixed`
            settings[name] = repr({part: np.asarray(which).tolist() for part, which in sorted(value.items())})
        elif isinstance(value, NormalInverseWishart):
            settings[name] = _digest(np.concatenate([np.ravel(part) for part in _known(value)]))
        else:  # first parameters
            settings[name] = _digest(np.asarray(value, np.float64))
    return settings


def _known(prior: NormalInverseWishart) -> list[NDArray[np.float64]]:
    """Return the hyper-parameters of a prior; NaN for those of the data."""
    return [np.asarray(math.nan if value is None else value, np.float64) for value in vars(prior).values()]


def data_of(source: Source) -> dict[str, Any]:
    """Return a description that distinguishes data without reading all of them: sizes, extremes, some samples, all weights."""
    # of samples that lie elsewhere, sizes, extremes and sums have to do
    marks, weights = (None, None) if source.local is None else (source.local.marks, source.local.weights)
    of_noise = {} if source.noise_marks is None else {"noise_covariance": _digest(source.noise_marks)}
    return (
        of_noise
        | {
            "n_samples": source.n_samples,
            "n_features": source.n_features,
            "dtype": source.dtype.name,
            "largest magnitude": source.largest,
            "sum of sample_weight": source.total_weight * source.weight_unit,
            "sample_weight": None if weights is None else _digest(weights),
            "X (of which some samples were compared)": None if marks is None else _digest(marks),
        }
        | _labels_of(source)
    )


def _labels_of(source: Source) -> dict[str, Any]:
    if not isinstance(source, LabelledSource):
        return {}
    return {"labels": _digest(source.labels), "label_components": _digest(source.allowed)}


def _digest(array: NDArray) -> str:
    whole = np.ascontiguousarray(array)
    return _DIGEST + hashlib.sha256(repr(whole.shape).encode() + whole.tobytes()).hexdigest()


# --- entries ---


def _of_draws(name: str, draws: RngState) -> archive.Arrays:
    state = np.array([*draws.key, draws.position, draws.has_gauss], np.uint32)
    return {name: state, f"{name}.gauss": np.array(draws.gauss, np.float64)}


def _of_params(name: str, params: Params) -> archive.Arrays:
    noise = {} if params.noise is None else archive.of_noise(params.noise, f"{name}.noise")
    return {f"{name}.{part}": getattr(params, part) for part in params.parts} | noise


def _of_mixture(name: str, params: Params, lower_bounds: list[float]) -> archive.Arrays:
    return {**_of_params(name, params), f"{name}.lower_bounds": np.array(lower_bounds, np.float64)}


def _of_accelerated(accelerated: Accelerated) -> archive.Arrays:
    entries = {"accelerated.n_passes": np.array(accelerated.n_passes, np.int64)}
    for field, value in state_of(accelerated.accelerator).items():
        if isinstance(value, Stats):
            entries |= {f"accelerated.{field}.{part}": getattr(value, part) for part in _STATS}
            if value.noise:
                entries[f"accelerated.{field}.noise"] = np.array(value.noise, np.float64)
        else:
            entries[f"accelerated.{field}"] = np.array(value, np.float64)
    return entries if accelerated.plain is None else entries | _of_params("plain", accelerated.plain)


def _position(header: dict[str, Any], entries: archive.Arrays, of: dict[str, Any], n_starts: int) -> FitState:
    """Return the fit state that the file holds; ValueError if no fit can have written it."""
    start, warm = header.get("start"), header.get("warm")
    n_starts = 1 if warm else n_starts
    if not isinstance(warm, bool) or type(start) is not int or not 0 <= start <= n_starts:
        raise ValueError(f"its header says start {start!r} of {n_starts}")
    fingerprint, best_fingerprint = header.get("fingerprint"), header.get("best_fingerprint")
    if not isinstance(fingerprint, str) or not isinstance(best_fingerprint, str):
        raise ValueError(f"its header holds the fingerprints {fingerprint!r} and {best_fingerprint!r}")
    resets = header.get("resets", [0, 0, 0])
    if not isinstance(resets, list) or [type(n) for n in resets] != [int] * 3 or min(resets) < 0:
        raise ValueError(f"its header says resets {resets!r}")
    known = {"random", "random.gauss", "random.first", "random.first.gauss"}
    of_params = _parts_of(of)
    parts = (*of_params, "lower_bounds")
    is_running = "running.weights" in entries
    known |= {f"running.{part}" for part in parts} if is_running else set()
    known |= _accelerated_entries(entries, of_params, of["settings"].get("acceleration")) if is_running else set()
    if start > 0:
        known |= {f"best.{part}" for part in (*parts, "lower_bound", "converged", "n_passes", "start")}
        known |= {"final_bounds"}
    known |= {entry for name in ("running", "best", "plain") for entry in _noise_entries(entries, name)}
    if known != set(entries):
        odd = sorted(known ^ set(entries))
        raise ValueError(f"it lacks entries or holds unknown ones: {', '.join(map(repr, odd[:8]))}")
    position = FitState(start, warm, _draws(entries, "random.first"), _draws(entries, "random"))
    best, best_start, final_bounds = None, 0, np.zeros(0)
    if start > 0:
        params, bounds = _mixture(entries, "best", of, least=0)
        lower_bound = _scalar(entries, "best.lower_bound", np.float64)
        converged = bool(_scalar(entries, "best.converged", np.bool_))
        best_start = int(_scalar(entries, "best.start", np.int64))
        n_passes = int(_scalar(entries, "best.n_passes", np.int64))
        if math.isnan(lower_bound) or (bounds and bounds[-1] != lower_bound) or not 0 <= best_start < start:
            raise ValueError(f"its best start is number {best_start} with the bound {lower_bound}")
        best = FitResult(params, converged, len(bounds), float(lower_bound), bounds, n_passes, n_resets=resets[2])
        final_bounds = entries["final_bounds"]
        if (
            final_bounds.dtype != np.float64
            or final_bounds.shape != (start,)
            or not final_bounds.max() == final_bounds[best_start] == lower_bound
        ):
            raise ValueError("final_bounds are not the bounds of the starts before, the best one's the highest of them")
    running = _mixture(entries, "running", of, least=0 if resets[0] else 1) if is_running else (None, [])
    first, draws = position.first, position.draws
    accelerated = _accelerated(entries, of) if "accelerated.n_passes" in known else None
    so_far = running[0], running[1], len(running[1]), accelerated
    return FitState(
        start,
        warm,
        first,
        draws,
        *so_far,
        best,
        best_start,
        fingerprint,
        best_fingerprint,
        final_bounds.tolist(),
        (resets[0], resets[1]),
    )


def _parts_of(of: dict[str, Any]) -> tuple[str, ...]:
    """Return the names of the arrays of a fit's parameters."""
    return _POSTERIOR if is_variational(of["settings"]) else _MIXTURE


def _accelerated_entries(entries: archive.Arrays, parts: tuple[str, ...], acceleration: str | None) -> set[str]:
    """Return the names of the entries of an accelerated run, of those that a file has."""
    if acceleration is None or "accelerated.n_passes" not in entries:
        return set()
    found = {"accelerated.n_passes"}
    for field in fields(ACCELERATORS[acceleration]()):  # type: ignore[arg-type]
        name = f"accelerated.{field.name}"
        if f"{name}.counts" in entries:
            found |= {f"{name}.{part}" for part in _STATS} | ({f"{name}.noise"} & set(entries))
        elif name in entries or field.default is not None:
            found.add(name)
    return found | ({f"plain.{part}" for part in parts} if "plain.weights" in entries else set())


def _accelerated(entries: archive.Arrays, of: dict[str, Any]) -> Accelerated:
    n_passes = int(_scalar(entries, "accelerated.n_passes", np.int64))
    accelerator = ACCELERATORS[of["settings"]["acceleration"]]()
    for field in fields(accelerator):  # type: ignore[arg-type]
        name = f"accelerated.{field.name}"
        if f"{name}.counts" in entries:
            setattr(accelerator, field.name, _stats(entries, name, of))
        elif field.default is not None:
            value = _scalar(entries, name, np.float64)
            setattr(accelerator, field.name, type(getattr(accelerator, field.name))(value))
    plain = _params(entries, "plain", of) if "plain.weights" in entries else None
    return Accelerated(plain, n_passes, accelerator)


def _stats(entries: archive.Arrays, name: str, of: dict[str, Any]) -> Stats:
    layout = STRUCTURES[of["settings"]["covariance_type"]].layout
    k, d = of["settings"]["n_components"], of["data"]["n_features"]
    counts, sums, scatter, origin = (entries[f"{name}.{part}"] for part in _STATS)
    shapes = [(k,), (k, d), layout.shape(k, d), (k, d)]
    for array, shape in zip((counts, sums, scatter, origin), shapes, strict=True):
        if array.dtype != np.float64 or array.shape != shape or not np.isfinite(array).all():
            raise ValueError(
                f"{name} has dtype {array.dtype} and shape {array.shape}, not float64 {shape}, or is not finite"
            )
    noise = float(_scalar(entries, f"{name}.noise", np.float64)) if f"{name}.noise" in entries else 0.0
    n_samples, dtype = of["data"]["n_samples"], np.dtype(of["data"]["dtype"])
    return Stats(layout, n_samples, math.nan, counts, sums, scatter, origin, dtype, noise)


def _draws(entries: archive.Arrays, name: str) -> RngState:
    state, gauss = entries[name], _scalar(entries, f"{name}.gauss", np.float64)
    # beyond the key the generator would read whatever lies in memory
    if state.dtype != np.uint32 or state.shape != (_KEY + 2,) or state[-2] > _KEY or state[-1] > 1:
        raise ValueError(f"{name} does not hold a state of the random generator")
    return RngState(state[:_KEY], int(state[-2]), int(state[-1]), float(gauss))


def _mixture(entries: archive.Arrays, name: str, of: dict[str, Any], *, least: int) -> tuple[Params, list[float]]:
    bounds = entries[f"{name}.lower_bounds"]
    if bounds.dtype != np.float64 or bounds.ndim != 1 or not np.isfinite(bounds).all():
        raise ValueError(f"{name}.lower_bounds has dtype {bounds.dtype} and shape {bounds.shape}, or is not finite")
    if not least <= len(bounds) <= of["settings"]["max_iter"]:
        raise ValueError(f"{name}.lower_bounds holds {len(bounds)} iterations")
    return _params(entries, name, of), bounds.tolist()


def _params(entries: archive.Arrays, name: str, of: dict[str, Any]) -> Params:
    names = [f"{name}.{part}" for part in _MIXTURE]
    covariance_type = of["settings"]["covariance_type"]
    if problem := archive.mixture_problem(covariance_type, entries, names, f"{name}.noise"):
        raise ValueError(problem)
    arrays = [entries[part] for part in names]
    shape = (of["settings"]["n_components"], of["data"]["n_features"])
    if arrays[1].dtype != np.float64 or arrays[1].shape != shape:
        raise ValueError(f"{names[1]} has dtype {arrays[1].dtype} and shape {arrays[1].shape}, not float64 {shape}")
    layout = STRUCTURES[covariance_type].layout
    weights, means, covariances, prec_chol = arrays
    noise = archive.noise_in(entries, shape[1], f"{name}.noise")
    if _parts_of(of) is _MIXTURE:
        return Params(layout, weights, means, covariances, prec_chol, noise)
    return Posterior(layout, weights, means, covariances, prec_chol, **_posterior(entries, name, shape[0]))


def _posterior(entries: archive.Arrays, name: str, k: int) -> dict[str, Any]:
    """Return the arrays that a posterior has besides those of a mixture."""
    found = {part: entries[f"{name}.{part}"] for part in _POSTERIOR[len(_MIXTURE) :]}
    for part, array in found.items():
        shapes = [(k,), (2, k)] if part == "concentration" else [(k,)]
        if array.dtype != np.float64 or array.shape not in shapes or not ((array > 0) & (array < math.inf)).all():
            raise ValueError(
                f"{name}.{part} has dtype {array.dtype} and shape {array.shape}, not float64 {shapes[0]}, or is not positive"
            )
    return found


def _noise_entries(entries: archive.Arrays, name: str) -> set[str]:
    """Return the names of the entries of noise of a mixture that a file has."""
    return {f"{name}.noise.{part}" for part in archive.NOISE} if f"{name}.noise.weight" in entries else set()


def _scalar(entries: archive.Arrays, name: str, dtype: type) -> Any:
    array = entries[name]
    if array.dtype != dtype or array.ndim:
        raise ValueError(f"{name} has dtype {array.dtype} and shape {array.shape}, not one {np.dtype(dtype)}")
    return array[()]
