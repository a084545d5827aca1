"""The state of a search in a file, so that it can be killed and resumed.

The file is an archive (`io.archive`: ``.npz`` without pickle). The header lists what is done: cells of the data, and for little
data, or the sample of large data, the results of the races of complete sizes. Entries are named by stage, size, structure and
array, such as ``cell.3.VVV.means``.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from threading import Lock
from typing import Any

import numpy as np

from fastgmm.em.evaluate import Classified
from fastgmm.em.result import FitResult
from fastgmm.fitting.checkpoint import Checkpoint
from fastgmm.fitting.degenerate import Reason
from fastgmm.io import archive
from fastgmm.kernels.small import Mixture
from fastgmm.model.params import Params
from fastgmm.model.structures import STRUCTURES
from fastgmm.selection.cells import Cell
from fastgmm.selection.found import Found

_KIND = archive.Kind(
    "fastgmm-search",
    1,
    "a checkpoint",
    "by select(..., checkpoint=...)",
    "pass another path, or remove the file to search from the beginning",
)
Key = tuple[int, str]


class SearchCheckpoint(Checkpoint):
    """The file of a search."""

    kind, task = _KIND, "search"

    def __init__(self, path: Any, every: float) -> None:
        super().__init__(path, every)
        self._lock = Lock()  # sizes run side by side
        self._header: dict[str, Any] = {}
        self._entries: archive.Arrays = {}

    def load(self) -> None:
        """Read the file, if there is one. Raises ValueError if it is damaged or of another search."""
        self._header, self._entries = self._contents() or ({}, {})

    def cells(self) -> dict[Key, Cell]:
        """Return the cells in the file."""
        return {(k, name): self._cell(k, name, about) for k, name, about in self._header.get("cells", [])}

    def found(self) -> tuple[dict[Key, Found], dict[Key, Found], dict[Key, Reason]]:
        """Return the results of complete sizes, before and after sharing among structures, and reasons for missing ones."""
        first = {(k, name): self._found("first", k, name) for k, name in self._header.get("first", [])}
        found = {(k, name): self._found("found", k, name) for k, name in self._header.get("found", [])}
        return first, found, {(k, name): _reason(about) for k, name, about in self._header.get("refused", [])}

    def store_cells(self, cells: Mapping[Key, Cell], *, now: bool = False) -> None:
        """Write the cells that are done, if enough time has passed since the last write."""
        with self._lock:
            self._header["cells"] = [[k, name, _about(cell)] for (k, name), cell in cells.items()]
            for (k, name), cell in cells.items():
                if cell.fit is not None and cell.sums is not None:
                    values = (*_arrays(cell.fit.params), np.array(cell.fit.lower_bounds), np.array(cell.sums))
                    names = ("weights", "means", "covariances", "prec_chol", "lower_bounds", "sums")
                    self._entries |= {
                        f"cell.{k}.{name}.{part}": value for part, value in zip(names, values, strict=True)
                    }
            self._save(now)

    def store_found(
        self,
        first: Mapping[Key, Found],
        found: Mapping[Key, Found],
        refused: Mapping[Key, Reason],
        *,
        now: bool = False,
    ) -> None:
        """Write the results of races of complete sizes, if enough time has passed since the last write."""
        with self._lock:
            for stage, results in (("first", first), ("found", found)):
                self._header[stage] = [list(key) for key in results]
                for (k, name), one in results.items():
                    values = (*one.mixture, one.own, one.bounds, np.array(one.converged))
                    parts = ("weights", "means", "covariances", "prec_chol", "own", "lower_bounds", "converged")
                    self._entries |= {f"{stage}.{k}.{name}.{part}": v for part, v in zip(parts, values, strict=True)}
            self._header["refused"] = [[k, name, _about(Cell(reason=reason))] for (k, name), reason in refused.items()]
            self._save(now)

    def _save(self, now: bool) -> None:
        if now or self._is_due():
            self._attempt(lambda: archive.write(self._where, _KIND, {**self._header, **self._identity}, self._entries))

    def _cell(self, k: int, name: str, about: Mapping[str, Any]) -> Cell:
        if "what" in about:
            return Cell(reason=_reason(about))
        prefix = f"cell.{k}.{name}."
        weights, means, covariances, prec_chol = (self._entries[prefix + part] for part in Params.parts)
        bounds = self._entries[prefix + "lower_bounds"].tolist()
        params = Params(STRUCTURES[name].layout, weights, means, covariances, prec_chol)
        fit = FitResult(params, bool(about["converged"]), len(bounds), bounds[-1], bounds, int(about["n_passes"]), "")
        return Cell(fit, Classified(*self._entries[prefix + "sums"].tolist()))

    def _found(self, stage: str, k: int, name: str) -> Found:
        def part(what: str) -> Any:
            return self._entries[f"{stage}.{k}.{name}.{what}"]

        mixture = Mixture(part("weights"), part("means"), part("covariances"), part("prec_chol"))
        return Found(mixture, part("own"), part("lower_bounds"), bool(part("converged")))


def _arrays(params: Params) -> tuple[Any, ...]:
    return params.weights, params.means, params.covariances, params.prec_chol


def _about(cell: Cell) -> dict[str, Any]:
    if cell.fit is not None:
        return {"converged": bool(cell.fit.converged), "n_passes": int(cell.fit.n_passes)}
    reason = cell.reason
    assert reason is not None
    held = None if math.isinf(reason.held) else reason.held
    return {"what": reason.what, "held": held, "otherwise": reason.otherwise}


def _reason(about: Mapping[str, Any]) -> Reason:
    held = math.inf if about["held"] is None else float(about["held"])
    return Reason(str(about["what"]), held, str(about["otherwise"]))
