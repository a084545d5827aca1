"""Time per EM iteration as samples, features, components and threads grow: ``python -m bench.scaling``.

Writes a picture and, beside it, the figures as JSON; without matplotlib the figures alone.
"""

from __future__ import annotations

import argparse
import datetime
import io
import json
import math
import shlex
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

from bench import blas, environment
from bench.cases import Case
from bench.compare import alternate, clock, collect
from bench.provenance import provenance
from bench.sides import ITERATIONS, PEERS, Outcome, able, importable
from fastgmm import _threads
from fastgmm._atomic import replacing

N_ITER = 2
#: rounds per point: at most so many, and no further one after so many seconds
ROUNDS, SECONDS = 5, 4.0
FORMATS = (".png", ".svg", ".pdf")
PICTURE = Path(__file__).with_name("scaling.png")


@dataclass(frozen=True)
class Axis:
    """What one panel varies; the rest stays as in `shape`."""

    label: str
    shape: dict[str, int]
    values: Sequence[int]
    quick_values: Sequence[int]

    def shapes(self, name: str, threads: int, quick: bool) -> Iterator[dict[str, int]]:
        """n, d, k and threads of each point."""
        values = [*self.quick_values] if quick else [*self.values]
        if name == "threads":
            values = [*sorted({*(2**i for i in range(threads.bit_length())), threads})]
        for value in values:
            shape = {"threads": threads, **self.shape, name: value}
            shape = {key: shape[key] for key in ("n", "d", "k", "threads")}
            yield {**shape, "n": min(shape["n"], 4000)} if quick else shape


AXES = {
    "n": Axis("samples n", {"d": 8, "k": 16}, [10**4, 10**5, 10**6, 10**7], [1000, 4000]),
    "d": Axis("features d", {"n": 20_000, "k": 16}, [2, 4, 8, 16, 32, 64, 128, 256], [2, 8]),
    "k": Axis("components k", {"n": 100_000, "d": 16}, [2, 4, 16, 64, 256, 1024], [2, 8]),
    "threads": Axis("threads", {"n": 200_000, "d": 16, "k": 16}, [], []),
}


# --------------------------------------------------------------------------------------------------------------------
# measuring


def measure(
    axes: Sequence[str],
    covariance_type: str,
    threads: int,
    peers: Sequence[str],
    *,
    patience: float,
    quick: bool,
    report: Callable[[str], object],
) -> list[dict[str, Any]]:
    """Points of all axes: seconds per iteration by side, and which sides were left out and why."""
    points = []
    for name in axes:
        forecast: dict[str, float] = {}  # seconds per operation at the point before
        for shape in AXES[name].shapes(name, threads, quick):
            case = Case("scaling", shape["n"], shape["d"], shape["k"], covariance_type, n_iter=N_ITER, start="truth")
            point = {"axis": name, **shape, **_point(case, shape["threads"], peers, forecast, patience, quick)}
            points.append(point)
            cells = [f"{side} {_seconds(s)}" for side, s in point["seconds"].items()]
            cells += [f"{side} left out: {why}" for side, why in point["left_out"].items()]
            report(" ".join(f"{key}={value}" for key, value in shape.items()) + ": " + ", ".join(cells))
    return points


def _point(
    case: Case, threads: int, peers: Sequence[str], forecast: dict[str, float], patience: float, quick: bool
) -> dict[str, Any]:
    left_out = {}
    for side in ["numpy", *able(peers, case)]:
        expected = forecast.get(side, 0.0) * case.flops * N_ITER
        if expected > patience:
            left_out[side] = f"{N_ITER} iterations would take about {expected:.0f} s"
    problem = case.problem(quick=False)
    outcomes: dict[str, Outcome] = {}

    def run(side: str) -> None:
        outcomes[side] = ITERATIONS[side](problem)

    names = [side for side in ["fastgmm", "numpy", *able(peers, case)] if side not in left_out]
    sides: dict[str, Callable[[], Any]] = {side: partial(run, side) for side in names}
    with _limited(threads, "daal4py" in names):
        for side in names:
            ITERATIONS[side](problem.warm_up())
        sides["gemm"] = blas.product(case.dtype)
        if quick:
            rounds = [{side: clock(function) for side, function in sides.items()}]
        else:
            laps = alternate(sides)
            if "numpy" in sides:
                laps = blas.at_best(alternate(blas.with_single(sides, "numpy")), "numpy")
            rounds = collect(laps, least=1, most=ROUNDS, seconds=SECONDS)
    for side, outcome in outcomes.items():
        own, other = outcomes["fastgmm"].bounds[-1], outcome.bounds[-1]
        if outcome.n_iter != N_ITER or not math.isclose(own, other, rel_tol=case.rtol):
            raise RuntimeError(
                f"{case.label}: {side} did other work than fastgmm: {outcome.n_iter} iterations, log-likelihood {other}"
                f", expected {N_ITER} and {own}"
            )
    seconds = {side: median(times[side] for times in rounds) / N_ITER for side in names}
    forecast.update({side: s / case.flops for side, s in seconds.items()})
    seconds["limit"] = median(times["gemm"] for times in rounds) * case.flops / blas.FLOPS
    return {"seconds": seconds, "left_out": left_out}


@contextmanager
def _limited(threads: int, daal: bool) -> Iterator[None]:
    """Numba, BLAS and, if it takes part, oneDAL have so many threads."""
    import numba

    before = numba.get_num_threads()
    numba.set_num_threads(threads)
    if daal:
        import daal4py

        daal4py.daalinit(threads)
    try:
        with blas.limited(threads):
            yield
    finally:
        numba.set_num_threads(before)
        if daal:
            daal4py.daalinit(before)


def _seconds(value: float) -> str:
    return f"{1e3 * value:.3g} ms"


# --------------------------------------------------------------------------------------------------------------------
# drawing

#: side -> (name in the legend, style)
STYLES: dict[str, tuple[str, dict[str, Any]]] = {
    "fastgmm": ("fastgmm", {"color": "#0b5fa5", "marker": "o", "linewidth": 2.2, "zorder": 4}),
    "numpy": ("NumPy reference", {"color": "#d9730d", "marker": "s"}),
    "sklearn": ("scikit-learn", {"color": "#3a8f4d", "marker": "^"}),
    "daal4py": ("oneDAL (daal4py)", {"color": "#8b4fa8", "marker": "D"}),
    "limit": ("limit: useful operations at the rate of dgemm", {"color": "#555555", "linestyle": "--"}),
}


def draw(figures: dict[str, Any], file: Any, suffix: str) -> None:
    """One panel per axis: time per iteration, both scales logarithmic."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import FixedLocator, NullLocator

    points = figures["points"]
    names = [name for name in AXES if any(point["axis"] == name for point in points)]
    columns = min(2, len(names))
    rows = math.ceil(len(names) / columns)
    figure = Figure(figsize=(5.6 * columns, 3.9 * rows + 1.3), dpi=120, layout="constrained")
    panels = figure.subplots(rows, columns, squeeze=False).ravel()
    handles: dict[str, Any] = {}
    for panel, name in zip(panels, names, strict=False):
        own = [point for point in points if point["axis"] == name]
        for side, (label, style) in STYLES.items():
            known = [(point[name], point["seconds"][side]) for point in own if side in point["seconds"]]
            if known:
                x, y = zip(*known, strict=True)
                (handles[label],) = panel.plot(x, y, **{"markersize": 5, "linewidth": 1.6, **style})
        panel.set_xscale("log")
        panel.set_yscale("log")
        ticks = sorted({point[name] for point in own})
        panel.xaxis.set_major_locator(FixedLocator(ticks))
        panel.xaxis.set_minor_locator(NullLocator())
        panel.set_xticklabels([_count(tick) for tick in ticks])
        rest = {key: own[0][key] for key in ("n", "d", "k", "threads") if key != name}
        panel.set_title(", ".join(f"{key} = {_count(value)}" for key, value in rest.items()), fontsize=10)
        panel.set_xlabel(AXES[name].label)
        panel.set_ylabel("seconds per EM iteration")
        panel.grid(True, which="major", color="#dddddd", linewidth=0.8)
        panel.set_axisbelow(True)
        missing = sorted({side for point in own for side in point["left_out"]}, key=list(STYLES).index)
        for line, side in enumerate(missing):
            first = min(point[name] for point in own if side in point["left_out"])
            text = f"{STYLES[side][0]}: left out from {name} = {_count(first)}, too slow"
            panel.text(0.03, 0.96 - 0.06 * line, text, transform=panel.transAxes, va="top", fontsize=8, color="#555555")
    for panel in panels[len(names) :]:
        panel.set_visible(False)
    facts = figures["provenance"]
    figure.suptitle(
        f"Gaussian mixtures, {figures['covariance_type']} covariances, float64\n"
        f"{facts['cpu']}, {facts['cores_allowed']} cores; NumPy {facts['numpy']}, BLAS kernel {facts['blas_kernel']}; "
        f"{facts['date']}",
        fontsize=11,
    )
    figure.legend(list(handles.values()), list(handles), loc="outside lower center", ncols=3, frameon=False, fontsize=9)
    figure.savefig(file, format=suffix.lstrip("."))


def _count(value: int) -> str:
    """10000 -> 10⁴ (in matplotlib's mathtext); others with thin spaces every three digits."""
    exponent = round(math.log10(value))
    if exponent >= 4 and value == 10**exponent:
        return f"$10^{exponent}$"
    return f"{value:,}".replace(",", "\N{THIN SPACE}")


# --------------------------------------------------------------------------------------------------------------------
# the command


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.scaling", description=__doc__)
    measuring = [
        parser.add_argument("--axes", nargs="+", choices=AXES, default=list(AXES), help="panels (default: all)"),
        parser.add_argument("--covariance-type", choices=PEERS["sklearn"], default="full"),
        parser.add_argument("--threads", type=int, help="where the axis is another one (default: all of Numba's)"),
        parser.add_argument("--peers", action="store_true", help="scikit-learn and daal4py as well, where installed"),
        parser.add_argument(
            "--patience",
            type=float,
            default=10.0,
            help=f"a side that would need more seconds for {N_ITER} iterations is left out (default 10)",
        ),
        parser.add_argument("--quick", action="store_true", help="tiny sizes, timed once: shows that it runs, no more"),
    ]
    parser.add_argument(
        "--output", type=Path, help=f"picture ({', '.join(FORMATS)}), figures beside it as .json (default {PICTURE})"
    )
    parser.add_argument("--redraw", action="store_true", help="measure nothing, draw the figures that are there")
    options = parser.parse_args(arguments)
    idle = [action.option_strings[0] for action in measuring if getattr(options, action.dest) != action.default]
    if options.redraw and idle:
        parser.error(f"--redraw measures nothing, so {', '.join(idle)} would do nothing")
    if options.output is None:
        if options.quick:
            parser.error("--quick needs --output: its picture should not take the place of a measured one")
        options.output = PICTURE

    most = _threads.max_threads()
    threads = _threads.current_threads() if options.threads is None else options.threads
    if not 1 <= threads <= most:
        parser.error(f"--threads is {threads}; it must be from 1 to {most}, what Numba was started with")
    if not options.patience > 0:
        parser.error(f"--patience is {options.patience}; it must be positive")
    if options.output.suffix not in FORMATS:
        parser.error(f"--output is {options.output}; its name must end with one of {', '.join(FORMATS)}")
    if not options.output.parent.is_dir():
        parser.error(f"--output is {options.output}, and there is no directory {options.output.parent}")
    path = options.output.with_suffix(".json")

    if options.redraw:
        try:
            figures = _load(path)
        except (OSError, ValueError) as error:
            parser.error(f"--redraw: {path} has no figures of this command: {error}")
    else:
        peers, broken = importable(PEERS) if options.peers else ([], {})
        for name, reason in broken.items():
            print(f"{name} is installed but cannot be imported, and is left out: {reason}", file=sys.stderr)
        points = measure(
            options.axes,
            options.covariance_type,
            threads,
            peers,
            patience=options.patience,
            quick=options.quick,
            report=partial(print, flush=True),
        )
        command = shlex.join(["python", "-m", "bench.scaling", *(sys.argv[1:] if arguments is None else arguments)])
        facts = {"date": datetime.date.today().isoformat(), "command": command, **provenance()}
        figures = {"covariance_type": options.covariance_type, "provenance": facts, "points": points}
        with replacing(path) as file:
            file.write((json.dumps(figures, indent=1) + "\n").encode())
        print(f"wrote {path}")
    try:
        import matplotlib  # noqa: F401
    except ImportError as error:
        print(f"no picture: {error} (pip install 'fastgmm[plot]', then --redraw)", file=sys.stderr)
        return 1 if options.redraw else 0
    picture = io.BytesIO()
    draw(figures, picture, options.output.suffix)
    with replacing(options.output) as file:
        file.write(picture.getvalue())
    print(f"wrote {options.output}")
    return 0


def _load(path: Path) -> dict[str, Any]:
    figures = json.loads(path.read_text(encoding="utf-8"))
    needed = {"covariance_type", "provenance", "points"}
    if not isinstance(figures, dict) or not needed <= set(figures) or not figures["points"]:
        raise ValueError(f"it should be an object with {', '.join(sorted(needed))}")
    if "blas_kernel" not in figures["provenance"]:
        raise ValueError("it does not tell the kernel of the BLAS that the sides ran on: measure anew")
    return figures


if __name__ == "__main__":
    sys.exit(environment.command(main))
