"""Files that the wrong calls are about, and wrong calls about them: tables, models, checkpoints."""

from __future__ import annotations

import gzip
import io
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from kit import interrupt_in_start

import fastgmm
from fastgmm import GaussianMixture
from fastgmm.io.tables import read_table

from . import FRAME, Row, X, blobs, fit, fitted, with_value

_TEXTS = {
    "words.csv": b"a,b\n1,x\n2,y\n",
    "ragged.csv": b"a,b\n1,2\n3\n",
    "gap.csv": b"a,b\n1,\n3,4\n",
    "missing.csv": b"a,b\n1,NA\n3,4\n",
    "comma.csv": b'a;b\n1;"2,5"\n3;4\n',
    "comment.csv": b"# made by hand, today\na,b\n1,2\n",
    "no.csv.xz": b"hello",
    "no.csv.bz2": b"hello",
    "data.npy.gz": b"hello",
    "torn.csv.gz": gzip.compress(b"a,b\n" + b"1,2\n" * 500)[:-12],
    "inf.csv": b"a,b\n1,inf\n",
    "huge.csv": b"a,b\n1,1e999\n",
    "empty.csv": b"",
    "blank.csv": b"\n\n",
    "header.csv": b"a,b\n",
    "unsure.csv": b"1,b\n2,3\n4,5\n",
    "latin1.csv": b"a,b\n1,2\n3,\xe4\n",
    "quoted.csv": b'a,b\n1,"2\n',
    "negative.csv": b"w\n" + b"1\n" * 59 + b"-1\n",
    "notes.foo": b"hello",
    "text.npz": b"hello",
    "text.npy": b"hello",
    "text.parquet": b"hello",
    "nothing.npz": b"",
}


def write(folder: Path) -> None:
    """Write good files and bad ones."""
    for name, content in _TEXTS.items():
        (folder / name).write_bytes(content)
    FRAME.to_csv(folder / "data.csv", index=False)
    FRAME.to_parquet(folder / "data.parquet")
    pd.DataFrame({"a": [1.0, 2.0], "b": ["u", "v"]}).to_parquet(folder / "words.parquet")
    pd.DataFrame({"a": [1.0, None]}).to_parquet(folder / "gap.parquet")
    arrays: dict[str, Any] = {"data": X, "wide": blobs(d=3), "row": X[:1], "nan": with_value(np.nan), "cube": X[None]}
    arrays |= {"flat": X[:, 0], "complex": X + 1j, "words": X.astype("U"), "none": X[:0], "weights": np.ones(60)}
    arrays |= {"short": np.ones(3), "zeros": np.zeros(60)}
    for name, array in arrays.items():
        np.save(folder / f"{name}.npy", array)
    np.save(folder / "objects.npy", np.array([[None]]), allow_pickle=True)
    np.savez(folder / "two.npz", a=X, b=X)
    np.savez(folder / "flat.npz", a=X[:, 0])
    for name in ("data.npy", "two.npz", "data.parquet"):
        whole = (folder / name).read_bytes()
        (folder / f"torn-{name}").write_bytes(whole[: len(whole) // 2])
    (folder / "empty").mkdir()
    (folder / "mixed").mkdir()
    np.save(folder / "mixed" / "a.npy", X)
    (folder / "mixed" / "b.csv").write_bytes(b"1,2\n")
    _write_models(folder)


def _write_models(folder: Path) -> None:
    fitted(X).save(folder / "model.npz")
    GaussianMixture(2, random_state=0).fit(blobs(d=3)).save(folder / "wide-model.npz")
    whole = (folder / "model.npz").read_bytes()
    (folder / "torn-model.npz").write_bytes(whole[:-100])
    with np.load(folder / "model.npz") as archive:
        entries = dict(archive)
    header = str(entries["header"])
    forged = {
        "newer": {"header": np.array(header.replace('"format_version": 2', '"format_version": 99'))},
        "other-class": {"header": np.array(header.replace('"class": "G', '"class": "N'))},
        "other-type": {"header": np.array(header.replace('"full"', '"round"'))},
        "nan-model": {"means_": entries["means_"] * np.nan},
        "heavy-model": {"weights_": entries["weights_"] * 2},
        "flat-model": {"covariances_": entries["covariances_"][0]},
        "no-json": {"header": np.array("{")},
    }
    for name, changed in forged.items():
        np.savez(folder / f"{name}.npz", **{**entries, **changed})
    np.savez_compressed(folder / "pressed.npz", **entries)
    with np.load(folder / "model.npz") as archive:
        np.savez(folder / "lacking.npz", **{name: archive[name] for name in archive.files if name != "means_"})
    _write_checkpoint(folder / "state.npz")
    whole = (folder / "state.npz").read_bytes()
    (folder / "torn-state.npz").write_bytes(whole[:-100])


def _write_checkpoint(path: Path) -> None:
    """Of a fit that ended on the way."""
    interrupt_in_start(0, lambda: resumable().fit(X, checkpoint=path))


def resumable(**arguments: Any) -> GaussianMixture:
    """A model whose fit of X left state.npz."""
    return GaussianMixture(**{"n_components": 2, "random_state": 0, "tol": 0.0, "max_iter": 20, **arguments})


def goes_on(checkpoint: Any = "state.npz", data: Any = X, **arguments: Any) -> partial:
    return partial(resumable(**arguments).fit, data, checkpoint=checkpoint)


def read(path: Any, **options: Any) -> partial:
    return partial(read_table, path, **options)


def load(path: Any) -> partial:
    return partial(fastgmm.load, path)


OF_ANOTHER = r"state\.npz is the checkpoint of another fit: "

ROWS: list[Row] = [
    # tables
    ("read: no file", lambda: read("nowhere.csv"), FileNotFoundError, r"nowhere\.csv"),
    ("read: a folder", lambda: read("empty"), IsADirectoryError, r"is a directory, not a file.*empty"),
    ("read: another kind", lambda: read("notes.foo"), ValueError, r"extension '\.foo'.*must be \.csv, .* or \.parquet"),
    ("read: a number", lambda: read(3), TypeError, r"path must be a string or path-like, got 3 of type int"),
    ("read: bytes", lambda: read(b"data.csv"), TypeError, r"path must be a string or path-like, got b'data\.csv'"),
    ("read: words", lambda: read("words.csv"), ValueError, r"column 1 .*'b'\) is not numeric.*choose numeric columns"),
    ("read: ragged", lambda: read("ragged.csv"), ValueError, r"line 3 has 1 field, but the header has 2: '3'"),
    (
        "read: a gap",
        lambda: read("gap.csv"),
        ValueError,
        r"line 2, column 1.*the value is missing; remove the row or fill",
    ),
    (
        "read: NA",
        lambda: read("missing.csv"),
        ValueError,
        r"line 2, column 1.*'NA' marks a missing value; remove the row",
    ),
    (
        "read: a decimal comma",
        lambda: read("comma.csv"),
        ValueError,
        r"line 2, column 1.*'2,5' is not a number; write it.*or read it with --decimal , \(in Python: decimal=','\)",
    ),
    ("read: infinity", lambda: read("inf.csv"), ValueError, r"line 2, column 1.*'inf' is not finite"),
    (
        "read: a huge number",
        lambda: read("huge.csv"),
        ValueError,
        r"line 2, column 1.*'1e999' is too large for float64",
    ),
    ("read: nothing", lambda: read("empty.csv"), ValueError, r"empty\.csv is empty"),
    ("read: blank lines", lambda: read("blank.csv"), ValueError, r"blank\.csv is empty"),
    ("read: a header alone", lambda: read("header.csv"), ValueError, r"header\.csv holds a header but no data"),
    (
        "read: header or data",
        lambda: read("unsure.csv"),
        ValueError,
        r"mixes numbers and text.*say which with --header yes",
    ),
    (
        "read: not UTF-8",
        lambda: read("latin1.csv"),
        ValueError,
        r"line 3 is not UTF-8 text \(byte 0xe4\); save the file as",
    ),
    (
        "read: header",
        lambda: read("data.csv", header=True),
        ValueError,
        r"header is True; it must be \"auto\", \"yes\" or",
    ),
    (
        "read: delimiter",
        lambda: read("data.csv", delimiter="::"),
        ValueError,
        r"delimiter is '::'; it must be one char",
    ),
    ("read: key", lambda: read("data.csv", key="a"), ValueError, r"key is given, but it is for \.npz only"),
    (
        "read: header of .npy",
        lambda: read("data.npy", header="no"),
        ValueError,
        r"header is given, but it is for",
    ),
    (
        "read: dtype",
        lambda: read("data.csv", dtype="int32"),
        ValueError,
        r"dtype is int32; it must be float32 or float64",
    ),
    (
        "read: all dropped",
        lambda: read("data.csv", drop=["a", "b"]),
        ValueError,
        r"no column is left of 2; choose at least",
    ),
    ("read: no such key", lambda: read("two.npz", key="c"), ValueError, r"two\.npz holds no array 'c'; it holds 'a'"),
    (
        "read: two arrays",
        lambda: read("two.npz"),
        ValueError,
        r"holds 2 arrays of two dim.*choose one with --key \(key=\)",
    ),
    ("read: a flat array", lambda: read("flat.npz"), ValueError, r"holds no array of two dimensions; choose one"),
    ("read: text as .npy", lambda: read("text.npy"), ValueError, r"text\.npy is not a readable \.npy file"),
    ("read: text as .npz", lambda: read("text.npz"), ValueError, r"text\.npz is not readable as \.npz"),
    (
        "read: text as .parquet",
        lambda: read("text.parquet"),
        ValueError,
        r"text\.parquet is not a readable \.parquet file",
    ),
    (
        "read: torn .npy",
        lambda: read("torn-data.npy"),
        ValueError,
        r"torn-data\.npy is damaged: its header says shape",
    ),
    ("read: torn .npz", lambda: read("torn-two.npz"), ValueError, r"torn-two\.npz is not readable as \.npz"),
    ("read: torn .parquet", lambda: read("torn-data.parquet"), ValueError, r"torn-data\.parquet is not a readable"),
    (
        "read: 1-D",
        lambda: read("flat.npy"),
        ValueError,
        r"1 dimensions, shape \(60,\); it must have 2; reshape\(-1, 1\) makes it",
    ),
    (
        "read: 3-D",
        lambda: read("cube.npy"),
        ValueError,
        r"cube\.npy has 3 dimensions, shape \(1, 60, 2\); it must have 2; .*array\.reshape\(-1, 2\)",
    ),
    (
        "read: complex",
        lambda: read("complex.npy"),
        ValueError,
        r"complex\.npy holds complex128; it must hold real numbers",
    ),
    (
        "read: words in .npy",
        lambda: read("words.npy"),
        ValueError,
        r"words\.npy holds <U\d+; it must hold real numbers",
    ),
    ("read: objects", lambda: read("objects.npy"), ValueError, r"objects\.npy holds Python objects; it must hold real"),
    ("read: no rows", lambda: read("none.npy"), ValueError, r"none\.npy is empty, shape \(0, 2\)"),
    (
        "read: words in .parquet",
        lambda: read("words.parquet"),
        ValueError,
        r"column 1 .*is not numeric.*choose numeric",
    ),
    ("read: a gap in .parquet", lambda: read("gap.parquet"), ValueError, r"row 1 .*the value is missing"),
    # models
    ("load: no file", lambda: load("nowhere.npz"), FileNotFoundError, r"nowhere\.npz"),
    ("load: a folder", lambda: load("empty"), OSError, r"empty"),
    ("load: nothing", lambda: load(None), TypeError, r"path must be a string or path-like, got None of type NoneType"),
    ("load: a number", lambda: load(0), TypeError, r"path must be a string or path-like, got 0 of type int"),
    (
        "load: an open file",
        lambda: load(io.BytesIO()),
        TypeError,
        r"path must be a string or path-like, got <_io\.BytesIO",
    ),
    (
        "load: text",
        lambda: load("text.npz"),
        ValueError,
        r"cannot be loaded as a fastgmm model.*must be a file that model\.save",
    ),
    (
        "load: an empty file",
        lambda: load("nothing.npz"),
        ValueError,
        r"nothing\.npz cannot be loaded as a fastgmm model",
    ),
    ("load: data", lambda: load("data.csv"), ValueError, r"data\.csv cannot be loaded as a fastgmm model"),
    ("load: arrays", lambda: load("two.npz"), ValueError, r"it has no entry 'header', so it is some other \.npz file"),
    ("load: torn", lambda: load("torn-model.npz"), ValueError, r"torn-model\.npz cannot be loaded as a fastgmm model"),
    ("load: compressed", lambda: load("pressed.npz"), ValueError, r"is compressed, which fastgmm never does"),
    ("load: a checkpoint", lambda: load("state.npz"), ValueError, r"its header does not say 'fastgmm-model'"),
    ("load: a newer format", lambda: load("newer.npz"), ValueError, r"format version 99.*upgrade fastgmm"),
    (
        "load: another class",
        lambda: load("other-class.npz"),
        ValueError,
        r"a model of class 'NaussianMixture'; this version",
    ),
    (
        "load: another type",
        lambda: load("other-type.npz"),
        ValueError,
        r"covariance_type is 'round', which is not a known one",
    ),
    ("load: no JSON", lambda: load("no-json.npz"), ValueError, r"its header is not JSON; the file is damaged"),
    (
        "load: NaN",
        lambda: load("nan-model.npz"),
        ValueError,
        r"means_ holds values that are not finite; the file is damaged",
    ),
    (
        "load: weights",
        lambda: load("heavy-model.npz"),
        ValueError,
        r"weights_ must not be negative and sum to 1.*sum 2",
    ),
    (
        "load: shapes",
        lambda: load("flat-model.npz"),
        ValueError,
        r"covariances_ has dtype .* and shape \(2, 2\).*must be",
    ),
    ("load: an entry missing", lambda: load("lacking.npz"), ValueError, r"it lacks 'means_'"),
    ("save: before fit", lambda: partial(GaussianMixture().save, "new.npz"), fastgmm.NotFittedError, r"not fitted"),
    ("save: nothing", lambda: partial(fitted().save, None), TypeError, r"path must be a string or path-like, got None"),
    (
        "save: a folder",
        lambda: partial(fitted().save, "empty"),
        IsADirectoryError,
        r"is a directory, not a file.*empty",
    ),
    ("save: in no folder", lambda: partial(fitted().save, "no/m.npz"), FileNotFoundError, r"No such file.*no/m\.npz"),
    (
        "save: another type",
        lambda: partial(fitted().set_params(covariance_type="diag").save, "new.npz"),
        ValueError,
        r"cannot be saved: covariance_type='diag' was set after the fit.*fit again, or set it back",
    ),
    (
        "save: a parameter that is an object",
        lambda: partial(fitted().set_params(tol={}).save, "new.npz"),
        TypeError,
        r"the parameter tol is a dict, which cannot be saved",
    ),
    (
        "save: words for first means",
        lambda: partial(fitted().set_params(means_init=["a"]).save, "new.npz"),
        TypeError,
        r"the parameter means_init is not an array of real numbers, so it cannot be saved",
    ),
    # checkpoints
    ("checkpoint: a number", lambda: goes_on(3), TypeError, r"checkpoint must be a path or None, got 3 of type int"),
    ("checkpoint: True", lambda: goes_on(True), TypeError, r"checkpoint must be a path or None, got True"),
    ("checkpoint: a folder", lambda: goes_on("empty"), IsADirectoryError, r"is a directory, not a file.*empty"),
    ("checkpoint: in no folder", lambda: goes_on("no/c.npz"), FileNotFoundError, r"No such file.*no/c\.npz"),
    (
        "checkpoint: a model",
        lambda: goes_on("model.npz"),
        ValueError,
        r"model\.npz cannot be loaded as a checkpoint of a fit",
    ),
    (
        "checkpoint: text",
        lambda: goes_on("text.npz"),
        ValueError,
        r"text\.npz cannot be loaded as a checkpoint.*must be a file",
    ),
    (
        "checkpoint: torn",
        lambda: goes_on("torn-state.npz"),
        ValueError,
        r"torn-state\.npz cannot be loaded as a checkpoint",
    ),
    (
        "checkpoint: other tol",
        lambda: goes_on(tol=1.0),
        ValueError,
        OF_ANOTHER + r"tol was 0\.0 and is 1\.0 now; delete it",
    ),
    (
        "checkpoint: other k",
        lambda: goes_on(n_components=3),
        ValueError,
        OF_ANOTHER + r"n_components was 2 and is 3 now",
    ),
    (
        "checkpoint: other type",
        lambda: goes_on(covariance_type="VEV"),
        ValueError,
        OF_ANOTHER + r"covariance_type was full",
    ),
    (
        "checkpoint: other start",
        lambda: goes_on(init_params="em-em"),
        ValueError,
        OF_ANOTHER + r"init_params was kmeans",
    ),
    ("checkpoint: other data", lambda: goes_on(data=X + 1), ValueError, OF_ANOTHER + r"largest magnitude was"),
    ("checkpoint: fewer data", lambda: goes_on(data=X[1:]), ValueError, OF_ANOTHER + r"n_samples was 60 and is 59 now"),
    ("checkpoint: data in float32", lambda: goes_on(data=X.astype("f")), ValueError, OF_ANOTHER + r"dtype was float64"),
    (
        "checkpoint: a generator that cannot be kept",
        lambda: goes_on("new.npz", random_state=np.random.default_rng(0)),
        ValueError,
        r"a checkpoint cannot hold the state of the generator PCG64: pass an integer",
    ),
    (
        "checkpoint: with batches",
        lambda: fit(X, {"checkpoint": "new.npz", "batch_size": 10}),
        ValueError,
        r"checkpoint holds the state of EM, not the averages of batch_size: leave one of them out",
    ),
    (
        "checkpoint_every=-1",
        lambda: fit(X, {"checkpoint": "new.npz", "checkpoint_every": -1}),
        ValueError,
        r"checkpoint_every must be a finite number of at least 0, got checkpoint_every=-1",
    ),
    (
        "checkpoint_every=inf",
        lambda: fit(X, {"checkpoint": "new.npz", "checkpoint_every": np.inf}),
        ValueError,
        r"checkpoint_every must be a finite number of at least 0",
    ),
    (
        "checkpoint_every='60'",
        lambda: fit(X, {"checkpoint_every": "60"}),
        TypeError,
        r"checkpoint_every must be a number of at least 0, got '60' of type str",
    ),
]
