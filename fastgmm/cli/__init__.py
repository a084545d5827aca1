# PYTHON_ARGCOMPLETE_OK
"""The command line: runs a command, and reports errors, warnings and Ctrl-C.

Nothing heavy is imported before a command runs, so that every ``--help`` answers at once. The arguments are in ``parser``
and ``arguments``, the texts of ``--help`` in ``help``, and the commands in ``commands``.
"""

from __future__ import annotations

import contextlib
import os
import sys
import traceback
import warnings
from argparse import Namespace
from collections.abc import Sequence
from functools import partial
from typing import TextIO

from fastgmm.cli.parser import parse
from fastgmm.cli.wording import in_options, one_line


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line.

    Parameters
    ----------
    argv : sequence of str, optional
        The arguments after the program's name; by default those of the process.

    Returns
    -------
    int
        Exit status: 0 for success; 2 for wrong input, reported in one line on standard error; 1 for a failure of fastgmm
        itself, with its traceback; 130 if interrupted; 141 if the reader of standard output went away.

    See Also
    --------
    fastgmm.GaussianMixture : The same in Python.

    Examples
    --------
    >>> from fastgmm.cli import main
    >>> status = main(["--version"])  # doctest: +ELLIPSIS
    fastgmm ...
    >>> status
    0
    """
    try:
        args = parse(list(sys.argv[1:] if argv is None else argv))
    except SystemExit as stop:
        return stop.code if isinstance(stop.code, int) else 0
    with warnings.catch_warnings():
        warnings.simplefilter("default")
        warnings.showwarning = partial(_show_warning, args.command)
        return _run(args)


def _run(args: Namespace) -> int:
    try:
        from fastgmm._jit import on_compilation
        from fastgmm.cli import commands

        with on_compilation(_tell_of_compilation):
            getattr(commands, args.command)(args)
        sys.stdout.flush()
    except BrokenPipeError:
        # the interpreter flushes once more at exit, which must not complain either
        with contextlib.suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except KeyboardInterrupt as stop:
        print(f"fastgmm: interrupted{'; ' if str(stop) else ''}{one_line(str(stop))}", file=sys.stderr)
        return 130
    except (ValueError, TypeError, OSError, ImportError, MemoryError) as error:
        print(f"fastgmm: error: {_message(error, args.command)}", file=sys.stderr)
        return 2
    except Exception:
        traceback.print_exc()
        print("fastgmm: internal error, please report it with the lines above", file=sys.stderr)
        return 1
    return 0


def _tell_of_compilation() -> None:
    # only for a user who is waiting; a script's standard error holds errors and nothing else
    if sys.stderr.isatty():
        print(
            "fastgmm: compiling for this processor, once: some ten seconds for each kind of covariance", file=sys.stderr
        )


def _message(error: BaseException, command: str) -> str:
    """Return one line about an error, in the words of the command line."""
    if isinstance(error, OSError) and error.strerror:
        name = "" if error.filename is None else f"{os.fsdecode(error.filename)}: "
        return one_line(f"{name}{error.strerror}")
    if isinstance(error, MemoryError):
        return in_options(one_line(f"not enough memory; {error}").rstrip("; "), command)
    return in_options(one_line(str(error)), command) or type(error).__name__


def _show_warning(
    command: str,
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    print(f"fastgmm: warning: {in_options(one_line(str(message)), command)}", file=sys.stderr)
