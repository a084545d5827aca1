"""Progress reporting: the lines of `verbose`, and progress bars in terminals and notebooks."""

from __future__ import annotations

import contextlib
import math
import os
import sys
import time
import warnings
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any, TextIO

from fastgmm._compat import if_installed
from fastgmm._jit import on_compilation
from fastgmm._limits import LIMITS
from fastgmm.em.callbacks import SILENT, Callback
from fastgmm.em.result import FitResult


class Lines(Callback):
    """Print lines about a fit: starts and iterations at verbose=1, also changes and the result at 2."""

    def __init__(self, verbose: int, interval: int) -> None:
        self._verbose, self._interval = verbose, interval

    def begin(self, start: int, n_iter: int) -> None:
        print(f"Start {start}" + (f", resuming after iteration {n_iter}" if n_iter else ""))

    def iteration(self, n_iter: int, lower_bound: float, change: float) -> None:
        if n_iter % self._interval == 0:
            print(
                f"  iteration {n_iter}"
                + (f", bound {lower_bound:.6f}, change {change:.3g}" if self._verbose > 1 else "")
            )

    def end(self, result: FitResult) -> None:
        how = "stopped early" if result.stopped_early else "converged" if result.converged else "did not converge"
        why = f": {result.stopped_early}" if result.stopped_early else ""
        print(
            f"  {how} after {result.n_iter} iterations{why}"
            + (f", bound {result.lower_bound:.6f}" if self._verbose > 1 else "")
        )


def announced(verbose: bool, with_bar: bool) -> AbstractContextManager[object]:
    """Return a context that prints a line when the body compiles, to the stream of `verbose` or of the bar."""
    if not (verbose or with_bar):
        return contextlib.nullcontext()
    stream = sys.stdout if verbose else sys.stderr
    return on_compilation(
        lambda: print("compiling for this kind of data, once: some ten seconds", file=stream, flush=True)
    )


def progress_bar(n_samples: int, n_starts: int) -> Callback:
    """Return a progress bar if tqdm is installed and standard error is a terminal or a notebook; otherwise lines on it."""
    return _timed(n_samples, n_starts) or SILENT


def steps(n: int) -> Callable[[int, str], None]:
    """Return a callback that shows progress as `progress_bar` does.

    It is called with the number of steps done, of `n`, and a text about the next one; the text '' means the end.
    """
    timed = _timed(n, 1, "the work")

    def tell(n_done: int, text: str) -> None:
        if timed is not None:
            timed.step(n_done, text) if text else timed.close()

    return tell


def _timed(n_samples: int, n_starts: int, whole: str = "the pass") -> _Timed | None:
    stream = sys.stderr
    if stream is None:  # a program without a console
        return None
    tqdm = _tqdm() if _draws_bars(stream) else None
    return (
        ProgressLines(n_samples, n_starts, stream, whole)
        if tqdm is None
        else Bar(n_samples, n_starts, stream, tqdm, whole)
    )


def _in_notebook() -> bool:
    return "ipykernel" in sys.modules


def _tqdm() -> Any:
    """Return the module of tqdm whose bar suits: in a notebook with ipywidgets its widget, otherwise text; None without tqdm."""
    if not _in_notebook():
        return if_installed("tqdm")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that ipywidgets is not installed: the text bar needs none
        return if_installed("tqdm.auto")


def _draws_bars(stream: TextIO) -> bool:
    if not stream.isatty():
        return _in_notebook()  # which is not a terminal, but draws a bar as one does
    with contextlib.suppress(OSError):
        # the terminal of some containers says that it has no lines, and tqdm then shows nothing on it
        return os.get_terminal_size(stream.fileno()).lines > 1
    return True


class _Timed(Callback):
    """Show a fit with at least `_seconds` between two updates; subclasses decide how, in `_show`."""

    def __init__(self, n_samples: int, n_starts: int, stream: TextIO, whole: str = "the pass") -> None:
        self._n_samples, self._n_starts, self._stream, self._whole = n_samples, n_starts, stream, whole
        self._shown = -math.inf
        self._text = ""
        self._since: tuple[int, float] | None = None
        self._steps_done: int | None = None

    def _seconds(self) -> float:
        """Return the least time between two updates."""
        raise NotImplementedError

    def _show(self, text: str, n_done: int, left: str) -> None:
        """Show a text and that `n_done` samples of a pass are done; the rest takes about `left`, '' if not yet known."""
        raise NotImplementedError

    def _show_if_due(self, n_done: int = 0, now: float | None = None, *, always: bool = False) -> None:
        now = time.monotonic() if now is None else now
        if not always and now - self._shown < self._seconds():
            return
        self._shown = now
        left = ""
        if self._since is not None and n_done > self._since[0]:
            n_first, first = self._since
            left = _duration((now - first) / (n_done - n_first) * (self._n_samples - n_done))
        self._show(self._text, n_done, left)

    def begin(self, start: int, n_iter: int) -> None:
        of = f" of {self._n_starts}" if self._n_starts > 1 else ""
        self._start = f"start {start + 1}{of}"
        self._text, self._since = f"{self._start}, first parameters", None
        self._next = f"{self._start}, iteration {n_iter + 1}"
        self._show_if_due(always=True)

    def step(self, n_done: int, text: str) -> None:
        """Show that `n_done` steps are done, in place of samples, and that `text` comes next."""
        now = time.monotonic()
        self._steps_done = n_done
        self._since, self._text = self._since or (n_done, now), text
        self._show_if_due(n_done, now)

    def block(self, n_done: int) -> None:
        now = time.monotonic()
        # a pass is timed from the end of its first block, since that one may have waited for a file. A pass for a proposal that
        # was rejected is followed by another one without an iteration between them
        if self._since is None or n_done <= self._since[0]:
            self._since, self._text = (n_done, now), self._next
        self._show_if_due(n_done, now)

    def iteration(self, n_iter: int, lower_bound: float, change: float) -> None:
        by = f", change {change:.3g}" if math.isfinite(change) else ""
        self._text = self._next = f"{self._start}, iteration {n_iter + 1}, log-likelihood {lower_bound:.6g}{by}"
        self._since = None
        self._show_if_due()

    def end(self, result: FitResult) -> None:
        how = "stopped early" if result.stopped_early else "converged" if result.converged else "not converged"
        self._text = f"{self._start}, {how} after {result.n_iter} iterations, log-likelihood {result.lower_bound:.6g}"
        self._since = None
        self._show_if_due(self._n_samples, always=True)


class ProgressLines(_Timed):
    """Show a fit as a line every few seconds."""

    def _seconds(self) -> float:
        return LIMITS.line_seconds

    def _show(self, text: str, n_done: int, left: str) -> None:
        rest = f"; {100 * n_done // self._n_samples} % of {self._whole}, {left} left" if left else ""
        print(f"{text}{rest}", file=self._stream, flush=True)


class Bar(_Timed):
    """Show a fit as a bar of the current pass, with the result of the iterations before next to it."""

    def _seconds(self) -> float:
        return LIMITS.bar_seconds

    def __init__(self, n_samples: int, n_starts: int, stream: TextIO, tqdm: Any, whole: str = "the pass") -> None:
        super().__init__(n_samples, n_starts, stream, whole)
        self._tqdm = tqdm
        self._bar: Any = None

    def _show(self, text: str, n_done: int, left: str) -> None:
        if self._bar is None:
            self._bar = self._draw()
        self._bar.n = n_done
        self._bar.set_description_str(text, refresh=False)
        self._bar.set_postfix_str(f"{left} left" if left else "", refresh=False)
        self._bar.refresh()

    def _draw(self) -> Any:
        class Quiet(self._tqdm.tqdm):  # type: ignore[name-defined]
            monitor_interval = 0  # no thread that monitors the bar

        form = "{desc} |{bar}| {percentage:3.0f}%{postfix}"
        # with a delay, so that nothing is shown before there is a text next to the bar
        return Quiet(total=self._n_samples, file=self._stream, bar_format=form, dynamic_ncols=True, delay=1e-9)

    def close(self) -> None:
        if self._bar is not None:
            if self._steps_done is not None:  # the last ones may not be shown yet; a widget is red if some are missing
                self._bar.n = self._steps_done
            self._bar.close()


def _duration(seconds: float) -> str:
    """Format a duration, such as '12 s', '3:05 min', '1:02 h'."""
    whole = math.ceil(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60}:{whole % 60:02d} min"
    return f"{whole // 3600}:{whole % 3600 // 60:02d} h"
