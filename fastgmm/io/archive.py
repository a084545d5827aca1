"""Archives of arrays with a JSON header, for models and checkpoints.

An archive is a ``.npz`` file (uncompressed) without pickled objects: reading it runs nothing, and ``numpy.load`` opens it as
well. The entry ``header`` is a string that holds a JSON object with ``format``, ``format_version``, ``fastgmm_version`` and
the additions of the kind of archive.
"""

from __future__ import annotations

import io
import json
import os
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.lib import format as npy_format
from numpy.typing import NDArray

from fastgmm._atomic import replacing
from fastgmm._validation import check_path
from fastgmm._version import __version__
from fastgmm.io.tables import NPZ_DAMAGE, npy_header
from fastgmm.model.noise import Noise
from fastgmm.model.structures import STRUCTURES

Arrays = dict[str, NDArray[Any]]


@dataclass(frozen=True)
class Kind:
    """A kind of archive: its name and version in the header, and words for messages about it.

    All versions from 1 on are read.
    """

    format: str
    version: int
    what: str
    written_by: str
    remedy: str


def write(path: str | os.PathLike[str], kind: Kind, header: Mapping[str, Any], entries: Mapping[str, NDArray]) -> None:
    """Write an archive completely or not at all. The same entries give the same bytes. Raises OSError."""
    check_path("path", path)
    whole = {"format": kind.format, "format_version": kind.version, "fastgmm_version": __version__, **header}
    with replacing(path) as file, zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        for entry, array in {"header": np.array(json.dumps(whole)), **entries}.items():
            member = io.BytesIO()
            npy_format.write_array(member, array, allow_pickle=False)
            # the default date of ZipInfo, 1980, rather than now: the same entries give the same bytes
            archive.writestr(zipfile.ZipInfo(f"{entry}.npy"), member.getbuffer())


def refusal(path: str | os.PathLike[str], kind: Kind, problem: object) -> ValueError:
    """Return the error for a file that is not an archive of this kind, or is damaged."""
    return ValueError(f"{os.fspath(path)} cannot be loaded as {kind.what}: {problem}")


def read(path: str | os.PathLike[str], kind: Kind) -> tuple[dict[str, Any], Arrays]:
    """Read the header and all other entries of an archive; this takes at most as much memory as the file is long.

    Raises ValueError if it is not an archive of this kind and version, and OSError if the file cannot be opened. The caller
    checks the contents of the entries and of the rest of the header.
    """
    entries = _read_entries(check_path("path", path), kind)
    try:
        return _header(entries, kind), entries
    except ValueError as error:
        raise refusal(path, kind, error) from None


def _read_entries(path: str, kind: Kind) -> Arrays:
    entries: Arrays = {}
    where = ""
    with open(path, "rb") as file:
        size = os.fstat(file.fileno()).st_size
        try:
            with zipfile.ZipFile(file) as archive:
                for info in archive.infolist():
                    where = f"its entry {info.filename!r} "
                    name = info.filename.removesuffix(".npy")
                    if name == info.filename or name in entries:
                        raise ValueError("does not belong there")
                    # fastgmm compresses nothing, so a short file cannot unfold into a huge one
                    if info.compress_type != zipfile.ZIP_STORED or info.file_size > size:
                        raise ValueError("is compressed, which fastgmm never does")
                    entries[name] = _read_array(archive.read(info))
        except (*NPZ_DAMAGE, OSError) as error:  # OSError of a place before the beginning of the file
            raise refusal(path, kind, _damage(error, where, kind)) from None
    return entries


def _damage(error: Exception, where: str, kind: Kind) -> str:
    return f"{where}{'is damaged: ' if where else ''}{error}; it must be {kind.written_by}"


def _read_array(member: bytes) -> NDArray[Any]:
    file = io.BytesIO(member)
    shape, _, dtype = npy_header(file)
    if dtype.hasobject or dtype.kind not in "biufU":
        raise ValueError(f"it holds {'Python objects' if dtype.hasobject else dtype}, not numbers or text")
    count = 1
    for length in shape:  # in Python's integers, which do not overflow
        count *= length
    if min(shape, default=0) < 0 or count * dtype.itemsize != len(member) - file.tell():
        raise ValueError(f"its size does not fit its shape {shape}")
    file.seek(0)
    array: NDArray[Any] = npy_format.read_array(file, allow_pickle=False)
    return array.astype(dtype.newbyteorder("="), copy=False)


def _header(entries: Arrays, kind: Kind) -> dict[str, Any]:
    array = entries.pop("header", None)
    if array is None or array.dtype.kind != "U" or array.ndim:
        raise ValueError(f"it has no entry 'header', so it is some other .npz file; it must be {kind.written_by}")
    try:
        header = json.loads(str(array))
    except (ValueError, RecursionError):
        raise ValueError(
            f"its header is not JSON; the file is damaged or some other .npz file; it must be {kind.written_by}"
        ) from None
    if not isinstance(header, dict) or header.get("format") != kind.format:
        raise ValueError(
            f"its header does not say {kind.format!r}, so it is some other .npz file; it must be {kind.written_by}"
        )
    version = header.get("format_version")
    if isinstance(version, int) and version > kind.version:
        raise ValueError(
            f"it has format version {version}, written by fastgmm {header.get('fastgmm_version')}; this is fastgmm "
            f"{__version__}, which reads up to version {kind.version}; upgrade fastgmm"
        )
    if not isinstance(version, int) or version < 1 or isinstance(version, bool):
        raise ValueError(f"its header says format version {version!r}, which never was; {kind.remedy}")
    return header


#: Entries of noise.
NOISE = ("weight", "axes", "low", "high")


def of_noise(noise: Noise, name: str = "noise") -> Arrays:
    """Return the entries of noise, with `name` and a dot before theirs."""
    return {f"{name}.{part}": np.asarray(getattr(noise, part), np.float64) for part in NOISE}


def noise_in(entries: Mapping[str, NDArray], d: int, name: str = "noise") -> Noise | None:
    """Return the noise of d features that entries hold, None if there are none; ValueError if they hold something else."""
    found = [entry for entry in entries if entry.startswith(f"{name}.")]
    if not found:
        return None
    shapes = {"weight": (), "axes": (d, d), "low": (d,), "high": (d,)}
    if set(found) != {f"{name}.{part}" for part in NOISE}:
        raise ValueError(
            f"it holds {', '.join(map(repr, found))}, but needs {', '.join(f'{name}.{part}' for part in NOISE)}"
        )
    for part, shape in shapes.items():
        array = entries[f"{name}.{part}"]
        if array.dtype != np.float64 or array.shape != shape or not np.isfinite(array).all():
            raise ValueError(
                f"{name}.{part} has dtype {array.dtype} and shape {array.shape}, not float64 {shape}, or is not finite"
            )
    noise = Noise(float(entries[f"{name}.weight"]), *(entries[f"{name}.{part}"] for part in NOISE[1:]))
    if not 0.0 <= noise.weight <= 1.0 or not (noise.high > noise.low).all():
        raise ValueError(f"{name} has the weight {noise.weight}, or a box that ends before it begins")
    return noise


def mixture_problem(
    covariance_type: Any, entries: Mapping[str, NDArray], names: Sequence[str], noise: str = "noise"
) -> str | None:
    """Return the problem that keeps the entries called `names` from being one mixture, or None.

    They are the weights, the means, and arrays in the shape of covariances: these, the precisions and their factor. `noise` is
    the name of the entries of noise, if there is some.
    """
    weights, means = entries[names[0]], entries[names[1]]
    if means.ndim != 2 or 0 in means.shape or means.dtype not in (np.dtype(np.float32), np.dtype(np.float64)):
        return f"{names[1]} has dtype {means.dtype} and shape {means.shape}; it must be float32 or float64, (k, d)"
    if not isinstance(covariance_type, str) or covariance_type not in STRUCTURES:
        return f"covariance_type is {covariance_type!r}, which is not a known one"
    layout = STRUCTURES[covariance_type].layout
    k, d = means.shape
    shapes = [(k,), (k, d)] + [layout.shape(k, d)] * (len(names) - 2)
    for entry, shape in zip(names, shapes, strict=True):
        array = entries[entry]
        if array.shape != shape or array.dtype != means.dtype:
            return (
                f"{entry} has dtype {array.dtype} and shape {array.shape}, but for {names[1]} of {means.dtype} "
                f"{means.shape} and covariance_type {covariance_type!r} it must be {means.dtype} {shape}"
            )
        if not np.isfinite(array).all():
            return f"{entry} holds values that are not finite"
    with np.errstate(over="ignore"):
        total = weights.sum() + float(entries.get(f"{noise}.weight", 0.0))
    if weights.min() < 0 or abs(total - 1) > 1e-3:
        return f"{names[0]} must not be negative and sum to 1; least is {weights.min()}, sum {total}"
    for entry in (names[2], names[-1]):  # precisions may be too small for their dtype
        array = entries[entry]
        if layout.variances(array, k, d).min() <= 0:
            return f"{entry} is not positive on its diagonal"
    return None
