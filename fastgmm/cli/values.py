"""Values of options: functions that parse the text of one, or say what is wrong with it."""

from __future__ import annotations

import argparse
import contextlib
import difflib
from collections.abc import Callable, Sequence

from fastgmm._names import COVARIANCE_TYPES, MCLUST_NAMES, ONE_FEATURE, TIED_NAMES

#: All names of covariance structures.
EVERY_TYPE = (*COVARIANCE_TYPES, *MCLUST_NAMES, *ONE_FEATURE, *TIED_NAMES)
_MOST_COMPONENTS = 10_000


def unknown(what: str, got: str, known: Sequence[str]) -> str:
    """Return a message about an unknown word, with the known one that is meant or all of them."""
    near = [name for name in known if name.startswith(got)] or difflib.get_close_matches(got, known, 1, 0.5)
    hint = f"did you mean {near[0]}?" if near else f"it must be one of {', '.join(known)}"
    return f"unknown {what} {got!r}; {hint}"


def one_of(what: str, known: Sequence[str]) -> Callable[[str], str]:
    """Return a function that parses one of the known words."""

    def parse(text: str) -> str:
        if text not in known:
            raise argparse.ArgumentTypeError(unknown(what, text, known))
        return text

    return parse


def integer(low: int) -> Callable[[str], int]:
    """Return a function that parses an integer of at least `low`."""

    def parse(text: str) -> int:
        if not (text.isascii() and text.isdigit() and len(text) < 19 and int(text) >= low):
            raise argparse.ArgumentTypeError(f"got {text!r}; it must be an integer of at least {low}")
        return int(text)

    return parse


count = integer(1)


def components(text: str) -> int:
    """Parse one number of components; several are for another command."""
    if "," in text or ":" in text:
        try:
            size_list(text)
        except argparse.ArgumentTypeError:
            return count(text)  # its error says that it must be one number
        raise argparse.ArgumentTypeError(
            f"got {text!r}, but fit takes one number of components; to choose among several: fastgmm select DATA -k {text}"
        )
    return count(text)


def size_list(text: str) -> list[int]:
    """Parse numbers of components and ranges of them, such as 2,4,8:10."""
    sizes: list[int] = []
    for item in text.split(","):
        first, colon, last = item.strip().partition(":")
        try:
            low, high = count(first), count(last if colon else first)
        except argparse.ArgumentTypeError:
            low, high = 1, 0
        if low > high or high > _MOST_COMPONENTS:
            raise argparse.ArgumentTypeError(
                f"got {text!r}; it must be numbers from 1 to {_MOST_COMPONENTS} and ranges of them, such as 3 or 1:9 or 2,4,8:10"
            )
        sizes += range(low, high + 1)
    return sizes


def covariance_list(text: str) -> str | list[str]:
    """Parse 'all', or names of covariance structures with commas between them."""
    if text == "all":
        return text
    return [one_of("covariance type", (*EVERY_TYPE, "all"))(item) for item in items(text)]


def seed(text: str) -> int | None:
    """Parse the seed of a random state, or 'none'."""
    if text == "none":
        return None
    if not (text.isascii() and text.isdigit() and len(text) < 19 and int(text) < 2**32):
        raise argparse.ArgumentTypeError(f"got {text!r}; it must be an integer from 0 to 2**32 - 1, or none")
    return int(text)


def not_negative(text: str) -> float:
    """Parse a finite number of at least 0."""
    with contextlib.suppress(ValueError):
        if 0 <= float(text) < float("inf"):
            return float(text)
    raise argparse.ArgumentTypeError(f"got {text!r}; it must be a number that is not negative")


def positive(text: str) -> float:
    """Parse a finite number above 0."""
    if (value := not_negative(text)) > 0:
        return value
    raise argparse.ArgumentTypeError(f"got {text!r}; it must be a number above 0")


def items(text: str) -> list[str]:
    """Parse names or indices with commas between them; a name with a comma in it can be quoted, as in a file."""
    import csv

    return [item.strip() for item in next(csv.reader([text]), []) if item.strip()]
