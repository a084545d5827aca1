"""The tables of the README's section "How fast", in Markdown, from what a session of `pytest bench` has measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from bench.cases import CASES, Case

Cells = Mapping[str, float]

#: heading -> column of a session, of the table of EM iterations ...
ITERATIONS = {
    "x scikit-learn": "sklearn",
    "x oneDAL": "daal4py",
    "x NumPy reference": "numpy",
    "limit": "limit",
    "MB": "peak_fastgmm",
    "MB, scikit-learn": "peak_sklearn",
}
#: ... and of that of everything else
CALLS = {
    "x scikit-learn": "sklearn",
    "x oneDAL": "daal4py",
    "x NumPy": "numpy",
    "x loop": "loop",
    "x SciPy": "scipy",
    "x file": "file",
    "x chunks": "chunks",
    "import s": "import",
    "cold s": "cold",
    "warm s": "warm",
}


def text(rows: Mapping[str, Cells], facts: Mapping[str, Any]) -> str:
    """Tables of `rows`, {row: {column: value}} as `conftest.Session` has them, below what they were measured with."""
    iterations = [(case, rows[case.label]) for case in _ordered() if case.label in rows]
    labels = {case.label for case, _ in iterations}
    calls = [(row, cells) for row, cells in rows.items() if row not in labels]
    parts = [_heading(facts)]
    if iterations:
        lines = [[_name(case), _shape(case), *_cells(cells, ITERATIONS)] for case, cells in iterations]
        parts.append(_table(["case", "n, d, k", "fastgmm", *ITERATIONS], lines))
    if calls:
        lines = [[row, *_cells(cells, CALLS)] for row, cells in calls]
        parts.append(_table(["call", "fastgmm", *CALLS], lines))
    return "\n\n".join(parts) + "\n"


def _ordered() -> list[Case]:
    """Cases as the README has them: iris, which is small, at the end."""
    return sorted(CASES, key=lambda case: case.n < 1000)


def _name(case: Case) -> str:
    kind = case.covariance_type + ("" if case.dtype == "float64" else f", {case.dtype}")
    return f"{case.name}: " + (f"{kind}, {case.note}" if case.note else kind)


def _shape(case: Case) -> str:
    return f"{case.n:_}, {case.d}, {case.k}".replace("_", " ")


def _heading(facts: Mapping[str, Any]) -> str:
    packages = ", ".join(
        f"{name} {facts[name]}" for name in ("numpy", "scipy", "numba", "scikit-learn", "scikit-learn-intelex")
    )
    return (
        f"{facts['date']}, {facts['cpu']}, {facts['cores_allowed']} cores, {facts['numba_threads']} threads, BLAS kernel "
        f"{facts['blas_kernel']} ({'; '.join(facts['blas'])}), {packages}: `{facts['command']}`"
    )


def _cells(cells: Cells, columns: Mapping[str, str]) -> list[str]:
    formats = {"limit": lambda x: f"{x:.0%}".replace("%", " %")}
    own = f"{number(cells['ms'])} ms" if "ms" in cells else ""
    return [own, *(formats.get(c, number)(cells[c]) if c in cells else "" for c in columns.values())]


def number(value: float) -> str:
    """Two significant digits at least, and never an exponent: 0.011, 3.3, 131."""
    if value >= 9.95:
        return f"{value:.0f}"
    return f"{value:.1f}" if value >= 0.995 else f"{value:.2g}"


def _table(heading: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Lines of a table, without the columns that are empty."""
    used = [i for i in range(len(heading)) if any(row[i] for row in rows)]
    lines = [[heading[i] for i in used], ["---"] * len(used), *([row[i] for i in used] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
