"""Options, the fixture that measures, and the tables at the end of a run."""

from __future__ import annotations

import datetime
import shlex
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import pytest

from bench import baseline, blas, environment, markdown, table
from bench.compare import Ratio, Round, alternate, collect, ratio
from bench.provenance import machine, provenance
from bench.sides import PEERS, importable
from fastgmm._atomic import replacing

Side = Callable[[], Any]
Measure = Callable[..., None]

#: what speed-ups of the baseline are over: the NumPy reference, or where it has no such function a loop in NumPy
OPPONENTS = ("numpy", "loop")
#: column -> (heading, format)
COLUMNS = {
    "ms": ("ms", "{:.3f}"),
    "numpy": ("x numpy", "{:.1f}"),
    "loop": ("x loop", "{:.1f}"),
    "scipy": ("x scipy", "{:.1f}"),
    "sklearn": ("x sklearn", "{:.1f}"),
    "daal4py": ("x daal4py", "{:.1f}"),
    "file": ("x file", "{:.2f}"),
    "chunks": ("x chunks", "{:.2f}"),
    "limit": ("limit", "{:.0%}"),
    "peak_fastgmm": ("MB", "{:.1f}"),
    "peak_numpy": ("MB numpy", "{:.1f}"),
    "peak_sklearn": ("MB sklearn", "{:.1f}"),
    "peak_daal4py": ("MB daal4py", "{:.1f}"),
    "import": ("import s", "{:.2f}"),
    "cold": ("cold s", "{:.2f}"),
    "warm": ("warm s", "{:.2f}"),
}
#: a comparison whose rounds have added up to this many seconds ends, after three rounds at least
SECONDS = 60.0


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("fastgmm benchmarks")
    group.addoption("--peers", action="store_true", help="time scikit-learn and daal4py as well, where installed")
    group.addoption(
        "--compare-rounds", type=_at_least(1), default=5, help="rounds in which all sides alternate (default 5)"
    )
    group.addoption(
        "--baseline",
        action="store_true",
        help=f"fail where a speed-up over NumPy dropped by more than {baseline.TOLERANCE:.0%}%; rounds continue until the "
        f"speed-up is known within {baseline.SPREAD:.0%}% ({baseline.LEAST} to {baseline.MOST} rounds)",
    )
    group.addoption("--update-baseline", action="store_true", help="write the speed-ups measured into the baseline")
    group.addoption("--baseline-file", type=Path, default=baseline.PATH, help="(default bench/baseline.json)")
    group.addoption(
        "--table",
        type=Path,
        metavar="FILE",
        help='write what was measured as the tables of the README\'s section "How fast", in Markdown; with --peers for all columns',
    )
    group.addoption(
        "--slow-down",
        type=_at_least(2),
        metavar="TIMES",
        help="let fastgmm do its work so many times over: shows that --baseline notices",
    )


def _at_least(least: int) -> Callable[[str], int]:
    def number(text: str) -> int:
        value = int(text)
        if value < least:
            raise ValueError
        return value

    number.__name__ = f"whole number, {least} or more,"  # argparse: "invalid ... value: '0'"
    return number


class Session:
    """What a run of benchmarks has found so far."""

    def __init__(self, config: pytest.Config) -> None:
        option = config.getoption
        # several workers at once (pytest-xdist) time nothing either
        self.quick = bool(option("benchmark_disable") or option("numprocesses", None))
        self.rounds: int = option("--compare-rounds")
        self.check: bool = option("--baseline")
        self.update: bool = option("--update-baseline")
        self.path: Path = option("--baseline-file")
        self.table: Path | None = option("--table")
        self.times_over: int = option("--slow-down") or 1
        self._refuse_contradictions()
        if not (self.quick or option("collectonly")):
            environment.require()
        # where nothing is timed, everything there is gets checked
        self.peers, self.broken = importable(PEERS) if self.quick or option("--peers") else ([], {})
        self.rows: dict[str, dict[str, float]] = {}
        self.known: set[str] | None = None
        self.judged: list[baseline.Judgement] = []
        self.measured: dict[str, Ratio] = {}
        self.runs: list[baseline.Run] = []
        self.expected: dict[str, Ratio] = {}
        if self.check or (self.path.exists() and self.update):
            self.runs = baseline.load(self.path)
        if self.check:
            self.expected = baseline.of_machine(self.runs, machine(), self.path)

    def _refuse_contradictions(self) -> None:
        if self.check and self.update:
            raise baseline.BaselineError("--baseline checks and --update-baseline rewrites: give one of them")
        if self.update and self.times_over > 1:
            raise baseline.BaselineError("--update-baseline with --slow-down would commit a speed-up that is not there")
        if self.table and self.times_over > 1:
            raise baseline.BaselineError("--table with --slow-down would print times that are not fastgmm's")
        if self.quick and (self.check or self.update or self.table or self.times_over > 1):
            raise baseline.BaselineError(
                "--baseline, --update-baseline, --table and --slow-down need timings; leave out --benchmark-disable (and -n)"
            )
        for option, path in (("--baseline-file", self.path if self.update else None), ("--table", self.table)):
            if path and not path.resolve().parent.is_dir():
                raise baseline.BaselineError(f"{option} is {path}, and there is no directory to write it to")

    def record(self, row: str, **columns: float) -> None:
        """Cells of the table at the end; none where nothing is timed."""
        if not self.quick:
            self.rows.setdefault(row, {}).update(columns)

    def judge(self, row: str, sides: dict[str, Side], opponent: str, now: Ratio) -> None:
        """Compare with the baseline or keep for it; fail the test that measured if the row does not do."""
        if not (self.check or self.update):
            return
        if self.update:
            if not baseline.settled(now):
                pytest.fail(
                    f"{row}: after {now.rounds} rounds the speed-up is only known within {now.spread:.0%}, and "
                    f"{baseline.SPREAD:.0%} is asked of a baseline; repeat on a quieter machine. Not written",
                    pytrace=False,
                )
            self.measured[row] = now
        if self.check:
            found = baseline.Judgement(row, self.expected.get(row), now)
            if found.before is not None and not found.passed:  # perhaps the machine's fault: once more
                found = baseline.Judgement(row, found.before, _speedup(sides, opponent))
            self.judged.append(found)
            if not found.passed:
                pytest.fail(found.explanation, pytrace=False)

    def write(self, command: str) -> None:
        """Write the baseline and the tables that were asked for, if there is anything to write."""
        facts = {"date": datetime.date.today().isoformat(), "command": command, **provenance()}
        if self.measured:
            new = baseline.Run(machine(), facts, self.measured)
            self.runs = baseline.updated(self.runs, new, self.known)
            baseline.save(self.path, self.runs)
        if self.table and self.rows:
            with replacing(self.table) as file:
                file.write(markdown.text(self.rows, facts).encode())


def _speedup(sides: dict[str, Side], opponent: str) -> Ratio:
    """Return the speed-up over NumPy in rounds of these two alone."""
    pair = {name: sides[name] for name in ("fastgmm", opponent)}
    return ratio(_until_settled(blas.with_single(pair, opponent), opponent), opponent)


def _until_settled(timed: dict[str, Side], opponent: str) -> list[Round]:
    """Return as many rounds as the ratio to the opponent takes to be known."""
    return collect(
        blas.at_best(alternate(timed), opponent),
        least=baseline.LEAST,
        most=baseline.MOST,
        seconds=baseline.SECONDS,
        settled=lambda rounds: baseline.settled(ratio(rounds, opponent)),
    )


SESSION = pytest.StashKey[Session]()


def pytest_configure(config: pytest.Config) -> None:
    try:
        config.stash[SESSION] = Session(config)
    except (baseline.BaselineError, environment.EnvironmentRefused) as error:
        raise pytest.UsageError(str(error)) from None


@pytest.hookimpl(tryfirst=True)
def pytest_cmdline_main(config: pytest.Config) -> int | None:
    """Run a session that times in a child, if variables are set that slow BLAS down; one that times nothing leaves them alone."""
    option = config.getoption
    if (
        option("benchmark_disable")
        or option("numprocesses", None)
        or option("collectonly")
        or not environment.present()
    ):
        return None
    return environment.again()


@pytest.hookimpl(tryfirst=True)  # before -k and -m take items away
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    session = config.stash[SESSION]
    here = Path(__file__).parent
    collected = {item.path for item in items}
    if any("::" in argument for argument in config.args) or not collected >= set(here.glob("test_*.py")):
        return  # not all rows there are
    session.known = {row_of(item) for item in items if "measure" in getattr(item, "fixturenames", ())}
    try:
        baseline.unknown(session.expected, session.known, session.path)
    except baseline.BaselineError as error:
        raise pytest.UsageError(str(error)) from None


def row_of(item: Any) -> str:
    """Row of the tables that a test fills: its case and what it measures (left out for EM iterations)."""
    what = item.originalname.removeprefix("test_")
    parameters = item.callspec.params
    if "case" not in parameters:
        return " ".join([what, *map(str, parameters.values())])
    label = parameters["case"].label
    return label if what in ("iterations", "peak_memory") else f"{label} {what}"


@pytest.fixture
def session(request: pytest.FixtureRequest) -> Session:
    return request.config.stash[SESSION]


@pytest.fixture
def quick(session: Session) -> bool:
    """Whether nothing is timed (--benchmark-disable): small data."""
    return session.quick


@pytest.fixture
def peers(session: Session) -> list[str]:
    """Other packages to compare with."""
    return session.peers


@pytest.fixture
def record(request: pytest.FixtureRequest, benchmark: Any, session: Session) -> Callable[..., None]:
    """Return `record(**columns)`: into the JSON and, if anything was timed, the table at the end."""

    def put(**columns: float) -> None:
        benchmark.extra_info.update(columns)
        session.record(row_of(request.node), **columns)

    return put


@pytest.fixture
def measure(request: pytest.FixtureRequest, benchmark: Any, record: Callable[..., None], session: Session) -> Measure:
    """Return `measure(sides, check, per=1, flops=0, dtype="float64")`, which times sides that do equal work.

    `sides` maps names, "fastgmm" among them, to functions without arguments. Each runs once as a warm-up (compilation
    and first touch are not timed) and `check` gets the results by name; then fastgmm is timed for pytest-benchmark's
    own table, then all sides alternate. `per` is the number of iterations in a call: times are recorded per iteration,
    ratios as other / fastgmm. With `flops`, the useful operations of an iteration, a product of matrices of `dtype`
    is among what alternates, and the share of its rate that fastgmm reaches is recorded as "limit".
    """

    def run(
        sides: dict[str, Side],
        check: Callable[[dict[str, Any]], None],
        *,
        per: int = 1,
        flops: int = 0,
        dtype: str = "float64",
    ) -> None:
        row = benchmark.group = row_of(request.node)
        sides = {**sides, "fastgmm": times_over(sides["fastgmm"], session.times_over)}
        check({name: side() for name, side in sides.items()})
        benchmark.pedantic(
            sides["fastgmm"], rounds=1 if session.quick else session.rounds, warmup_rounds=0 if session.quick else 1
        )
        if session.quick:
            return
        opponent = next((name for name in OPPONENTS if name in sides), None)
        if opponent is not None:
            timed = blas.with_single(sides, opponent)
        else:
            timed = sides
        timed = {**timed, "gemm": blas.product(dtype)} if flops else timed
        if opponent is None:
            rounds = collect(alternate(timed), least=min(3, session.rounds), most=session.rounds, seconds=SECONDS)
        elif session.check or session.update:
            needed = ("fastgmm", opponent, blas.SINGLE, "gemm")  # a slow third side would take the time of all rounds
            rounds = _until_settled({name: side for name, side in timed.items() if name in needed}, opponent)
        else:
            laps = blas.at_best(alternate(timed), opponent)
            rounds = collect(laps, least=min(3, session.rounds), most=session.rounds, seconds=SECONDS)
        speedups = {name: ratio(rounds, name) for name in sides if name != "fastgmm" and name in rounds[0]}
        own = median(times["fastgmm"] for times in rounds)
        columns = {"ms": 1e3 * own / per, **{name: found.median for name, found in speedups.items()}}
        if flops:
            columns["limit"] = ratio(rounds, "gemm").median * (flops * per / blas.FLOPS)
        record(**columns)
        benchmark.extra_info.update(
            compile_time_included=False,
            iterations_per_call=per,
            seconds_per_call=rounds,
            speedup={name: found._asdict() for name, found in speedups.items()},
        )
        if opponent is not None:
            session.judge(row, sides, opponent, ratio(rounds, opponent))

    return run


def times_over(side: Side, times: int) -> Side:
    """The side doing its work so many times."""
    return side if times == 1 else lambda: [side() for _ in range(times)][-1]


@pytest.hookimpl(optionalhook=True)
def pytest_benchmark_update_machine_info(config: pytest.Config, machine_info: dict[str, Any]) -> None:
    machine_info["fastgmm"] = provenance()


def pytest_sessionfinish(session: pytest.Session) -> None:
    found = session.config.stash[SESSION]
    if found.measured or found.table:
        found.write(shlex.join(["pytest", *map(str, session.config.invocation_params.args)]))
    nothing = (
        (found.check and not found.judged) or (found.update and not found.measured) or (found.table and not found.rows)
    )
    if nothing and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED  # a check that checked nothing has not passed


@pytest.hookimpl(trylast=True)  # below the table of pytest-benchmark
def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    session = config.stash[SESSION]
    write = terminalreporter.write_line
    for name, reason in session.broken.items():
        write(f"{name} is installed but cannot be imported, and is left out: {reason}")
    if session.rows:
        terminalreporter.section("fastgmm: medians over alternating rounds")
        facts = provenance()
        write(
            f"{facts['cpu']}, {facts['cores_allowed']} cores, BLAS kernel {facts['blas_kernel']}, "
            f"numba {facts['numba']} with {facts['numba_threads']} threads ({facts['numba_threading_layer']}), "
            f"numpy {facts['numpy']}, "
            f"scikit-learn {facts['scikit-learn']}, scikit-learn-intelex {facts['scikit-learn-intelex']}"
        )
        write("ms: per iteration, or per call; x: the other side's time / fastgmm's; limit: share of gemm's rate;")
        write("MB: memory that a fit takes beyond the data")
        write("\n".join(format_rows(session.rows)))
        if session.times_over > 1:
            write(f"--slow-down: fastgmm did all its work {session.times_over} times over", yellow=True)
    if session.check:
        terminalreporter.section(f"speed-ups over NumPy against {session.path}")
        write(
            f"median over rounds, repeated until 95 % certain within {baseline.SPREAD:.0%} ({baseline.LEAST} to "
            f"{baseline.MOST} rounds); fails below {1 - baseline.TOLERANCE:.0%} of the baseline, measured twice"
        )
        write("\n".join(baseline.judgements(session.judged)))
        left = len(set(session.expected) - {item.row for item in session.judged})
        if left:
            write(f"{left} rows of the baseline were not measured in this run")
    if session.update:
        written = f"wrote {len(session.measured)} speed-ups to" if session.measured else "nothing was measured for"
        write(f"{written} {session.path}")
        if session.known is not None and session.measured:
            lacking = sorted(session.known - {row for run in session.runs for row in run.speedups})
            write(f"rows that it lacks: {', '.join(lacking) or 'none'}")
    if session.table:
        write(f"wrote {session.table}" if session.rows else f"nothing was measured for {session.table}")


def format_rows(rows: dict[str, dict[str, float]]) -> list[str]:
    """Lines of a table with the columns that occur; empty where a row was not measured."""
    used = [column for column in COLUMNS if any(column in cells for cells in rows.values())]
    return table.lines(
        ["case", *(COLUMNS[column][0] for column in used)],
        [[name, *(COLUMNS[c][1].format(cells[c]) if c in cells else "" for c in used)] for name, cells in rows.items()],
    )
