"""Arguments that several commands have."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any

from fastgmm._names import COVARIANCE_TYPES, MCLUST_NAMES, ONE_FEATURE, TIED_NAMES
from fastgmm.cli import values

#: Types to compute in.
DTYPES = ("float64", "float32")
_HEADERS = ("auto", "yes", "no")
#: Names of covariance structures, for help.
TYPES = (
    f"{', '.join((*COVARIANCE_TYPES, *TIED_NAMES))}, or mclust's {', '.join(MCLUST_NAMES)}, for one feature "
    f"{', '.join(ONE_FEATURE)}"
)

PRIOR = "default: a conjugate prior of means and covariances, scaled to the data (without this option: none)"

Parser = argparse.ArgumentParser
Group = Any  # argparse has no public class of groups


def general(parser: Parser) -> None:
    """Add the arguments that every command has, as the last group."""
    group = parser.add_argument_group("general")
    group.add_argument("-h", "--help", action="help", help="show this text")
    group.add_argument("--json", action="store_true", help="print one JSON object (keys below)")


def choice(
    group: Group,
    option: str,
    known: Sequence[str],
    *,
    help: str,
    what: str | None = None,
    metavar: str = "NAME",
    default: str | None = None,
) -> None:
    """Add an option whose value is one of the known words, which a shell can complete."""
    parse = values.one_of(option.lstrip("-") if what is None else what, known)
    told = help if default is None else f"{help} (default: {default})"
    _completed(group.add_argument(option, metavar=metavar, type=parse, default=default, help=told), known)


def _completed(action: argparse.Action, known: Sequence[str]) -> None:
    """Let a shell complete the value of an option: argcomplete looks for this attribute."""
    action.completer = lambda **_: known  # type: ignore[attr-defined]


def covariance_list(group: Group, what: str) -> None:
    """Add --covariances, a list of covariance structures; `what` says what for."""
    action = group.add_argument(
        "--covariances",
        metavar="LIST",
        type=values.covariance_list,
        default="all",
        help=f"{what}, with commas between them: {TYPES}; all: mclust's (default: all)",
    )
    _completed(action, (*values.EVERY_TYPE, "all"))


def model(parser: Parser) -> None:
    """Add MODEL, a saved model."""
    parser.add_argument("model", metavar="MODEL", help="a file that fit --output or model.save wrote")


def data(parser: Parser) -> None:
    """Add DATA, the table to read."""
    parser.add_argument(
        "data",
        metavar="DATA",
        help=".csv, .tsv, .txt (also with .gz, .bz2, .xz), .npy, .npz, .parquet; a directory or pattern of them; - is text from "
        "standard input",
    )


def reading(parser: Parser) -> Group:
    """Add the group of options for reading DATA, and return it."""
    group = parser.add_argument_group("reading DATA")
    group.add_argument(
        "--columns",
        metavar="LIST",
        type=values.items,
        help="columns to use: names, indices from 0 or ranges, such as a,b,0-3 (default: all; of a model: those that it was "
        "fitted with, if both have names)",
    )
    group.add_argument("--drop", metavar="LIST", type=values.items, help="columns to leave out")
    group.add_argument(
        "--missing",
        action="store_true",
        help="treat empty fields, NA, NaN and the like as missing values; samples count by the values that they have",
    )
    choice(
        group,
        "--header",
        _HEADERS,
        metavar="WHEN",
        default="auto",
        help="text: whether the first line holds names: auto, yes or no",
    )
    group.add_argument(
        "--delimiter",
        metavar="CHAR",
        help="text: one character, or tab, space, comma, semicolon (default: found from the first line)",
    )
    choice(
        group,
        "--decimal",
        (".", ","),
        what="decimal sign",
        metavar="CHAR",
        default=".",
        help="text: the decimal sign, a point or a comma",
    )
    group.add_argument(
        "--comment", metavar="CHAR", help="text: a sign, such as '#'; it and the rest of the line are ignored"
    )
    group.add_argument("--key", metavar="NAME", help=".npz: which array (default: the only one with two dimensions)")
    choice(
        group,
        "--dtype",
        DTYPES,
        metavar="TYPE",
        help="type to compute in: float64 or float32 (default: that of the data, float64 for text)",
    )
    return group


def weights(group: Group) -> None:
    """Add --weights, how often each sample counts."""
    group.add_argument(
        "--weights",
        metavar="WHAT",
        help="how often each sample counts: a file with one column of weights, if WHAT ends in .npy or .csv; otherwise a "
        "column of DATA, by name or index, which is then not a feature",
    )


def labels(group: Group) -> None:
    """Add --labels, a file for the component of each sample."""
    group.add_argument("--labels", metavar="FILE", help="write the component of each sample (.csv or .npy)")


def seed(group: Group) -> None:
    """Add --seed, of all randomness."""
    group.add_argument(
        "--seed",
        metavar="N",
        type=values.seed,
        default=0,
        help="seed of all randomness; none: a new one each time (default: 0)",
    )


def threads(group: Group) -> None:
    """Add --threads, the number of threads."""
    group.add_argument("--threads", metavar="N", type=values.count, help="number of threads (default: all)")


def force(group: Group) -> None:
    """Add --force, which replaces files."""
    group.add_argument("--force", action="store_true", help="replace output files that exist")


def output(group: Group) -> None:
    """Add --output, a file or standard output, and --force."""
    group.add_argument(
        "-o", "--output", metavar="FILE", default="-", help=".csv or .npy; - is standard output (default)"
    )
    force(group)
