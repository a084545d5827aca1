"""HTML view of an estimator for notebooks, which needs no style sheet, script or other package."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from typing import NamedTuple

_CELL = "text-align:left;padding:0 1em 0 0;border:0"


class Table(NamedTuple):
    """A table of text, the cells of `bold` rows in bold."""

    caption: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    bold: frozenset[int] = frozenset()


def page(title: str, state: str, tables: Iterable[Table]) -> str:
    """Return the HTML of a title, the estimator's state, and tables; all text is escaped."""
    parts = [f'<div class="fastgmm"><strong>{escape(title)}</strong> <span>{escape(state)}</span>']
    for table in tables:
        rows = [_row("th", table.columns, False)] if any(table.columns) else []
        rows += [_row("td", row, i in table.bold) for i, row in enumerate(table.rows)]
        parts.append(
            f"<details open><summary>{escape(table.caption)}</summary><table>{''.join(rows)}</table></details>"
        )
    return "".join(parts) + "</div>"


def _row(tag: str, cells: Sequence[str], bold: bool) -> str:
    style = f"{_CELL};font-weight:bold" if bold else _CELL
    return "<tr>" + "".join(f'<{tag} style="{style}">{escape(cell)}</{tag}>' for cell in cells) + "</tr>"
