"""Data read chunk by chunk: files, directories, lists, data sets of pyarrow, callables, loaders."""

from __future__ import annotations

import glob
import mmap
import os
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastgmm._limits import LIMITS
from fastgmm.data.stream import PIECE, Reader, StreamError
from fastgmm.io import tables
from fastgmm.io.tables import Format, Header

_PAGE = mmap.PAGESIZE


def chunks(
    data: Any,
    *,
    columns: Sequence[int | str] | None = None,
    header: Header = "auto",
    delimiter: str | None = None,
    decimal: str = ".",
    comment: str | None = None,
    missing: bool = False,
) -> Chunks:
    """Return data that are read chunk by chunk, to be passed to `fit` and the other methods in place of an array.

    Every pass over the data, one for each EM iteration, reads all chunks again, with only a few in memory at a time. Chunks
    may have different numbers of samples.

    Parameters
    ----------
    data : path, glob pattern, sequence, pyarrow data set or table, callable, or iterable
        The data, as one of these:

        - a file (``.npy``, ``.parquet``, ``.csv``, ``.tsv``, ``.txt``, ``.npz``; text also compressed, ``.csv.gz``, ``.bz2``
          or ``.xz``), a directory of such files, taken in the order of their names, or a pattern such as ``"part-*.npy"``;
          ``.npy`` and Parquet files are read piece by piece, the others one file at a time;
        - a list or tuple of paths, or of arrays or data frames;
        - a ``pyarrow.dataset.Dataset`` or ``pyarrow.Table``;
        - a function without arguments that returns a fresh iterator over arrays each time;
        - anything else that ``iter()`` reads from the beginning each time, such as a data loader. Items are arrays,
          data frames or tensors of shape (n_samples, n_features), or sequences that hold one such array.
    columns : sequence of int or str, optional
        Columns to use: of files as in ``fastgmm fit --columns``, of arrow data by name, of arrays by index. By default all.
    header : {'auto', 'yes', 'no'}, default='auto'
        Whether the first line holds names, for text files only. 'auto' finds out, or raises ValueError if that is not clear.
    delimiter : str, optional
        One character, or 'comma', 'semicolon', 'tab', 'space', for text files only. By default found from the first line.
    decimal : {'.', ','}, default='.'
        The decimal sign, for text files only.
    comment : str, optional
        A sign, such as ``"#"``, for text files only. It and the rest of the line are ignored.
    missing : bool, default=False
        Whether empty fields, NA and the like become NaN, for text and Parquet files only. A model with
        ``missing_values='marginalize'`` reads them so in any case.

    Returns
    -------
    Chunks
        The data; iterating over it yields the chunks as arrays.

    Raises
    ------
    TypeError
        If `data` is an iterator or generator, which could be read only once, or is not a collection of chunks.
    ValueError
        If no file matches a path, or files of that kind cannot be read.

    See Also
    --------
    GaussianMixture.fit : Fit a mixture to chunks.
    GaussianMixture.partial_fit : Fit a mixture to a stream that is read once.

    Examples
    --------
    >>> import numpy as np, fastgmm
    >>> parts = [np.random.default_rng(i).normal(size=(500, 2)) for i in range(3)]
    >>> fastgmm.GaussianMixture(2, random_state=0).fit(fastgmm.chunks(parts)).means_.shape
    (2, 2)
    """
    if isinstance(data, Chunks):
        return data
    if columns is not None and isinstance(columns, (str, bytes)):
        raise TypeError(f"columns is the string {columns!r}; it must be a sequence, such as [{columns!r}]")
    form = Format(header, delimiter, decimal, comment, missing)
    if isinstance(data, (str, os.PathLike)):
        return Chunks([_FileChunk(path, columns, form) for path in expand(os.fspath(data))])
    if isinstance(data, (list, tuple)):
        if not data:
            raise ValueError("the sequence of chunks is empty: pass at least one array or path")
        paths = [isinstance(item, (str, os.PathLike)) for item in data]
        if all(paths):
            return Chunks([_FileChunk(os.fspath(item), columns, form) for item in data])
        if any(paths):
            raise TypeError("the sequence mixes paths and arrays: pass one or the other")
    if form.given():
        raise TypeError(
            f"{', '.join(form.given())} is given, but the chunks are not text files: pass a path, or leave it out"
        )
    if isinstance(data, (list, tuple)):
        return Chunks(_Given(lambda: iter(data), columns))
    if hasattr(data, "to_batches"):  # Dataset and Table of pyarrow
        names = None if columns is None else list(columns)
        batches = data.select(names) if names is not None and hasattr(data, "select") else data
        options = {} if names is None or hasattr(data, "select") else {"columns": names}
        return Chunks(_Given(lambda: iter(batches.to_batches(**options)), None))
    if isinstance(data, np.ndarray):
        raise TypeError("data is one array: pass it to fit as it is, or a list of arrays to chunks")
    if callable(data):
        return Chunks(_Given(data, columns))
    if isinstance(data, Iterator):
        raise TypeError(
            f"a {type(data).__name__} can be read only once, but EM needs a pass for each iteration: pass a function "
            "that returns a fresh one, such as chunks(lambda: read_parts()), or a list"
        )
    if not isinstance(data, Iterable) and not hasattr(data, "__getitem__"):
        raise TypeError(f"chunks cannot be made of a {type(data).__name__}: pass paths, a list of arrays or a callable")
    return Chunks(_Given(lambda: iter(data), columns))


def expand(path: str) -> list[str]:
    """Return the files of a path, a directory or a pattern, in the order of their names."""
    if os.path.isdir(path):
        entries = sorted(os.listdir(path))
        found = [os.path.join(path, name) for name in entries if tables.kind_of(name) in tables.READABLE]
        kinds = sorted({tables.kind_of(name) for name in found})
        if len(kinds) > 1:
            raise ValueError(
                f"{path} holds files of several kinds ({', '.join(kinds)}): pass a pattern, such as "
                f"{os.path.join(path, '*' + kinds[0])!r}"
            )
        if not found:
            raise ValueError(
                f"{path} holds no file that can be read ({', '.join(tables.READABLE)}) among {len(entries)}: choose another, or a "
                "pattern"
            )
        return found
    if not os.path.exists(path) and glob.has_magic(path):
        found = sorted(glob.glob(path, recursive=True))
        if not found:
            raise ValueError(
                f"no file matches the pattern {path!r}: choose another one; the current directory is {os.getcwd()}"
            )
        return found
    return [path]


class Chunks:  # numpydoc ignore=PR01
    """Hold data that are read chunk by chunk; `fastgmm.chunks` makes it.

    Iterating over it yields the chunks as arrays, from the first one each time.

    See Also
    --------
    fastgmm.chunks : Make it from files, arrays, functions or loaders.

    Examples
    --------
    >>> import numpy as np, fastgmm
    >>> data = fastgmm.chunks([np.zeros((3, 2)), np.ones((1, 2))])
    >>> [chunk.shape for chunk in data]
    [(3, 2), (1, 2)]
    """

    def __init__(self, parts: Sequence[_FileChunk] | _Given) -> None:
        self._parts = parts

    def __iter__(self) -> Generator[NDArray, None, None]:
        for _, piece in self.reader().pieces():
            yield np.asarray(piece)

    def reader(self, *, missing: bool = False) -> Reader:
        """Return the reader of the chunks that a pass over the data uses.

        Parameters
        ----------
        missing : bool, default=False
            Whether values in text and Parquet files may be missing.

        Returns
        -------
        Reader
            An object whose ``pieces()`` yields the index of a chunk and a piece of it in turn.

        See Also
        --------
        fastgmm.chunks : Make the chunks.

        Examples
        --------
        >>> import numpy as np, fastgmm
        >>> reader = fastgmm.chunks([np.zeros((3, 2)), np.ones((1, 2))]).reader()
        >>> [(chunk, piece.shape) for chunk, piece in reader.pieces()]
        [(0, (3, 2)), (1, (1, 2))]
        """
        if isinstance(self._parts, _Given):
            return self._parts
        parts = self._parts
        if missing:
            parts = [replace(part, form=part.form._replace(missing=True)) for part in parts]
        return _FilesReader(parts)


# --- files ---


@dataclass(frozen=True)
class RawFile:
    """Numbers of a matrix (n, d) as they lie in a file from byte `offset` on, in C or Fortran order."""

    path: str
    offset: int
    shape: tuple[int, int]
    dtype: np.dtype
    fortran: bool
    size: int

    @classmethod
    def of_npy(cls, path: str) -> RawFile:
        """Find the matrix in a .npy file; raise ValueError if there is none."""
        shape, fortran, dtype, offset = tables.npy_layout(path)
        size = os.stat(path).st_size
        end = offset + shape[0] * shape[1] * dtype.itemsize
        if size < end:
            raise ValueError(f"{path} is damaged: its header says shape {shape}, {dtype}, for which it is too short")
        return cls(path, offset, (shape[0], shape[1]), dtype, fortran, size)

    @classmethod
    def of_memmap(cls, X: np.memmap) -> RawFile | None:
        """Return the part of a file that X maps; None if the file does not hold X unchanged and contiguously."""
        root: Any = X
        while isinstance(root.base, np.memmap):
            root = root.base
        contiguous = X.flags.c_contiguous or X.flags.f_contiguous
        if not contiguous or root.mode == "c" or root.filename is None or X.ndim != 2:
            return None
        offset = root.offset + X.ctypes.data - root.ctypes.data
        path = os.fspath(root.filename)
        try:
            size = os.stat(path).st_size
        except OSError:
            return None  # unlinked, and alive through the mapping alone
        shape = (X.shape[0], X.shape[1])
        return cls(path, offset, shape, X.dtype, not X.flags.c_contiguous, size)

    def read(self, start: int, stop: int) -> NDArray:
        """Return samples start .. stop: a window into the file if its order and alignment allow, else a copy."""
        n, d = self.shape
        size = self.dtype.itemsize
        with open(self.path, "rb") as file:
            now = os.fstat(file.fileno())
            if now.st_size != self.size:
                raise StreamError(
                    f"{self.path} has {now.st_size} bytes now and had {self.size} when it was opened: data must stay the same "
                    "while they are used"
                )
            if self.fortran:
                out = np.empty((stop - start, d), self.dtype, order="F")
                for j in range(d):
                    file.seek(self.offset + (j * n + start) * size)
                    if file.readinto(out[:, j].data.cast("B")) != (stop - start) * size:
                        raise StreamError(
                            f"{self.path} ended while it was read: data must stay the same while they are used"
                        )
                return out
            low, high = self.offset + start * d * size, self.offset + stop * d * size
            base = low // mmap.ALLOCATIONGRANULARITY * mmap.ALLOCATIONGRANULARITY
            window = mmap.mmap(file.fileno(), high - base, access=mmap.ACCESS_READ, offset=base)
        # touched here, on the reading thread, a page at a time: the kernels do not wait for the disk
        np.frombuffer(window, np.uint8)[::_PAGE].max()
        X: NDArray = np.ndarray((stop - start, d), self.dtype, window, low - base)
        return X if (low - base) % size == 0 else X.copy()

    def windows(self, first: int, rows: int | None) -> Iterator[NDArray]:
        """Yield all samples in pieces that end at multiples of `rows`, counting the `first` samples before them."""
        rows = rows or max(1, PIECE // (self.shape[1] * self.dtype.itemsize))
        start = 0
        while start < self.shape[0]:
            stop = min(self.shape[0], start + rows - (first + start) % rows)
            yield self.read(start, stop)
            start = stop


@dataclass(frozen=True)
class _FileChunk:
    """One file and the columns to read from it."""

    path: str
    columns: Sequence[int | str] | None
    form: Format

    def pieces(self, first: int, rows: int | None) -> Iterator[NDArray]:
        kind = tables.kind_of(self.path)
        if kind in (".npy", ".parquet"):
            tables.refuse_form(self.path, self.form)
        if kind == ".npy":
            raw = RawFile.of_npy(self.path)
            picked = tables.column_indices(self.path, raw.shape[1], self.columns)
            for window in raw.windows(first, rows):
                yield window if picked is None else window[:, picked]
        elif kind == ".parquet":
            yield from tables.parquet_batches(self.path, self.columns, PIECE, missing=self.form.missing)
        else:
            yield tables.read_table(self.path, columns=self.columns, **self.form._asdict()).data


@dataclass(frozen=True)
class _FilesReader:
    """Reader of files one after another, each a chunk."""

    parts: Sequence[_FileChunk]

    def pieces(self, rows: int | None = None) -> Iterator[tuple[int, NDArray]]:
        first = 0
        for chunk, part in enumerate(self.parts):
            try:
                for piece in part.pieces(first, rows):
                    yield chunk, piece
                    first += len(piece)
            except FileNotFoundError as error:
                raise FileNotFoundError(error.errno, error.strerror, self.label(chunk)) from None

    def label(self, chunk: int) -> str:
        if chunk >= len(self.parts):
            return f"chunk {chunk}"
        return self.parts[chunk].path if len(self.parts) == 1 else f"chunk {chunk} ({self.parts[chunk].path})"

    def mapped(self) -> NDArray | None:
        if len(self.parts) > 1 or not self.parts[0].path.lower().endswith(".npy") or self.parts[0].columns is not None:
            return None
        return _mapped(RawFile.of_npy(self.parts[0].path))


@dataclass(frozen=True)
class MemmapReader:
    """Reader of a `numpy.memmap` through windows, so that little of it is in memory at a time."""

    raw: RawFile

    def pieces(self, rows: int | None = None) -> Iterator[tuple[int, NDArray]]:
        for window in self.raw.windows(0, rows):
            yield 0, window

    def label(self, chunk: int) -> str:
        return f"X ({self.raw.path})"

    def mapped(self) -> NDArray | None:
        return _mapped(self.raw)


def _mapped(raw: RawFile) -> NDArray | None:
    if raw.dtype not in (np.float32, np.float64) or raw.offset % raw.dtype.itemsize:
        return None
    order: Any = "F" if raw.fortran else "C"
    try:
        return np.memmap(raw.path, raw.dtype, "r", raw.offset, raw.shape, order)
    except (OSError, MemoryError):
        return None  # the address space is limited (ulimit -v)


def worth_streaming(X: np.memmap) -> bool:
    """Return whether a memory map is large enough to be read through windows."""
    return bool(X.nbytes > LIMITS.loaded)


# --- the user's own objects ---


@dataclass(frozen=True)
class _Given:
    """Arrays from a function that returns a fresh iterator each time."""

    fresh: Callable[[], Iterable[Any]]
    columns: Sequence[int | str] | None

    def pieces(self, rows: int | None = None) -> Iterator[tuple[int, NDArray]]:
        iterator = self.fresh()
        if not isinstance(iterator, Iterable):
            raise TypeError(
                f"the function returned a {type(iterator).__name__}, not an iterator over arrays: let it yield or return a list"
            )
        chunk = -1
        for chunk, item in enumerate(iterator):
            yield chunk, self._columns(_array(item, self.label(chunk)), chunk)
        if chunk < 0:
            raise StreamError(
                "no chunk came: if an earlier pass had some, the function or iterable can be read only once; pass a "
                "function that returns a fresh iterator each time"
            )

    def _columns(self, array: Any, chunk: int) -> Any:
        if self.columns is None:
            return array
        picked = [int(column) for column in self.columns if isinstance(column, (int, np.integer))]
        if len(picked) < len(self.columns):
            raise TypeError(f"columns of arrays must be integers counted from 0, got {list(self.columns)}")
        array = np.asanyarray(array)  # a masked array stays one, to be checked
        width = array.shape[1] if array.ndim == 2 else 0
        if any(not 0 <= column < width for column in picked):
            raise ValueError(
                f"{self.label(chunk)} has {width} columns, but columns {picked} were asked for: they must be below {width}"
            )
        return array[:, picked]

    def label(self, chunk: int) -> str:
        return f"chunk {chunk}"

    def mapped(self) -> NDArray | None:
        return None


def _array(item: Any, name: str) -> Any:
    """Return an item of an iterable, or the one array in it (loaders yield batches as lists)."""
    if isinstance(item, dict):
        raise TypeError(
            f"{name} is a dict with the keys {', '.join(map(repr, list(item)[:8]))}: pass a function that yields the arrays, such "
            "as chunks(lambda: (batch['x'] for batch in loader))"
        )
    if isinstance(item, (list, tuple)) and len(item) and hasattr(item[0], "shape"):
        if len(item) > 1:
            raise TypeError(
                f"{name} is a sequence of {len(item)} arrays: pass a function that yields the one to use, such as "
                "chunks(lambda: (batch[0] for batch in loader))"
            )
        item = item[0]
    if hasattr(item, "to_pandas") and hasattr(item, "num_rows"):  # a record batch of pyarrow
        return _arrow(item, name)
    if hasattr(item, "detach"):  # a tensor that may require gradients, or lie elsewhere
        item = item.detach()
        item = item.cpu() if hasattr(item, "cpu") else item
    return item


def _arrow(batch: Any, name: str) -> NDArray:
    columns = []
    for field, column in zip(batch.schema, batch.columns, strict=True):
        if column.null_count:
            raise ValueError(
                f"{name}, column {field.name!r}: {column.null_count} values are missing; drop or impute them"
            )
        values = column.to_numpy(zero_copy_only=False)
        if values.dtype.kind not in "biuf":
            raise ValueError(
                f"{name}, column {field.name!r} is {field.type}, not numbers: choose columns with columns="
            )
        columns.append(values)
    single = all(values.dtype == np.float32 for values in columns)
    return np.column_stack([values.astype(np.float32 if single else np.float64, copy=False) for values in columns])
