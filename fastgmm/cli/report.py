"""Reports of the commands: tables for people, one JSON object for programs."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from fastgmm.cli.wording import in_options
from fastgmm.io.model_file import is_variational

# limits of a screen
_MAX_COMPONENTS = 12
_MAX_FEATURES = 8
_MAX_NAME = 16

Summary = dict[str, Any]


def to_json(summary: Summary) -> str:
    """Return one line of JSON, with floats in full precision and null for values that are not finite."""
    return json.dumps(_plain(summary), allow_nan=False, ensure_ascii=False)


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (np.ndarray, np.generic)):
        return _plain(value.tolist())
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def number(value: float) -> str:
    """Format a number for reading: six digits, without a trail of zeros."""
    return f"{value:.6g}"


def criterion(value: float) -> str:
    """Format a log-likelihood, BIC, AIC or ICL with three decimals: models differ in its last digits before the point."""
    return f"{value:.3f}"


def note(text: str) -> None:
    """Print a note on standard error about something worth checking that is not an error."""
    print(f"fastgmm: note: {' '.join(text.split())}", file=sys.stderr)


def seconds(value: float) -> str:
    """Format a duration with a sensible unit."""
    return f"{value * 1e3:.3g} ms" if value < 1 else f"{value:.3g} s"


def _criteria(summary: Summary) -> str:
    """Return BIC and AIC; of a posterior, which has neither, the lower bound of the evidence if it is known."""
    if math.isnan(summary["bic"]):
        return f"lower bound {criterion(summary['lower_bound'])}" if "lower_bound" in summary else ""
    return f"BIC {criterion(summary['bic'])}   AIC {criterion(summary['aic'])}"


def _compiled(spent: Mapping[str, float]) -> str:
    return f"compiled, once, in {seconds(spent['compile'])}, " if spent["compile"] else ""


def plural(count: int, what: str) -> str:
    """Return a count with its noun, such as "1 sample" or "150 samples"."""
    return f"{count} {what}{'s' * (count != 1)}"


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Align columns to the right."""
    lines = [head, *rows]
    widths = [max(len(line[j]) for line in lines) for j in range(len(head))]
    return "\n".join(
        "  ".join(cell.rjust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines
    )


def _names(summary: Summary) -> list[str]:
    names = summary["feature_names"] or [f"x{j}" for j in range(summary["n_features"])]
    shown = [" ".join(str(name).split()) for name in names[:_MAX_FEATURES]]
    return [name if len(name) <= _MAX_NAME else name[: _MAX_NAME - 2] + ".." for name in shown]


def mixture(summary: Summary, everything: str) -> str:
    """Return weights, sizes if known, means and standard deviations, cut to fit on a screen."""
    k, d = summary["n_components"], summary["n_features"]
    shown = range(min(k, _MAX_COMPONENTS))
    sizes = summary.get("cluster_sizes")
    head = ["component", "weight"] + (["size"] if sizes is not None else []) + _names(summary)
    means = [
        [str(c), number(summary["weights"][c])]
        + ([str(sizes[c])] if sizes is not None else [])
        + [number(value) for value in summary["means"][c][:_MAX_FEATURES]]
        for c in shown
    ]
    if summary["noise"] is not None:
        noise = ["noise", number(summary["noise"]["weight"])] + ([str(sizes[k])] if sizes is not None else [])
        means.append(noise + [""] * (len(head) - len(noise)))
    spreads = [[str(c)] + [number(value) for value in summary["standard_deviations"][c][:_MAX_FEATURES]] for c in shown]
    parts = ["weights and means", table(head, means), ""]
    parts += ["standard deviations", table(["component", *_names(summary)], spreads)]
    left = [plural(k - _MAX_COMPONENTS, "more component")] if k > _MAX_COMPONENTS else []
    left += [plural(d - _MAX_FEATURES, "more feature")] if d > _MAX_FEATURES else []
    if left:
        parts += ["", f"... and {' and '.join(left)}; {everything}"]
    return "\n".join(parts)


def _weighted(summary: Summary) -> str:
    what = summary.get("sample_weight")
    return "" if what is None else f", weights {what} (sum {number(summary['total_weight'])})"


def fit(summary: Summary) -> str:
    """Return the report of a fit."""
    spent = summary["seconds"]
    ended = "converged after" if summary["converged"] else "not converged in"
    lines = [
        f"{summary['data']}: {plural(summary['n_samples'], 'sample')} x {plural(summary['n_features'], 'feature')}, "
        f"{summary['dtype']}{_weighted(summary)}",
        f"{plural(summary['n_components'], 'component')}, {summary['covariance_type']} covariance; "
        f"{ended} {plural(summary['n_iter'], 'iteration')}",
        f"log-likelihood {criterion(summary['log_likelihood'])}   {_criteria(summary)}",
        f"read in {seconds(spent['read'])}, {_compiled(spent)}fitted in {seconds(spent['fit'])}",
        "",
        mixture(summary, "--json prints them all, --output saves them"),
    ]
    written = [f"{what}: {path}" for what, path in summary["files"].items() if path is not None]
    if summary["files"].get("model") is None:
        lines += ["", "--output FILE keeps this model; a fit of its own starts elsewhere, and may end elsewhere"]
    return "\n".join([*lines, "", *written] if written else lines)


def select(summary: Summary, text: str) -> str:
    """Return the report of a selection, whose own text has the table."""
    best, spent = summary["best"], summary["seconds"]
    ended = "converged after" if best["converged"] else "not converged in"
    lines = [
        f"{summary['data']}: {plural(summary['n_samples'], 'sample')} x {plural(best['n_features'], 'feature')}, "
        f"{best['dtype']}" + ("" if summary["sample_weight"] is None else f", weights {summary['sample_weight']}"),
        f"read in {seconds(spent['read'])}, {_compiled(spent)}{plural(np.size(summary['bic']), 'model')} fitted in "
        f"{seconds(spent['select'])}",
        "",
        in_options(text, "select"),
        "",
        f"best: {plural(best['n_components'], 'component')}, {best['covariance_type']} covariance; {ended} "
        f"{plural(best['n_iter'], 'iteration')}",
        f"log-likelihood {criterion(best['log_likelihood'])}   BIC {criterion(best['bic'])}   ICL {criterion(best['icl'])}   "
        f"AIC {criterion(best['aic'])}",
        "",
        mixture(best, "--json prints them all, --output saves them"),
    ]
    written = [f"{what}: {path}" for what, path in summary["files"].items() if path is not None]
    if summary["files"].get("model") is None:
        lines += ["", "--output FILE keeps this model; a fit of its own starts elsewhere, and may end elsewhere"]
    return "\n".join([*lines, "", *written] if written else lines)


def demo(summary: Summary) -> str:
    """Return the report of the demonstration: a fit, and species against clusters."""
    head = ["species", *(f"cluster {c}" for c in range(summary["n_components"]))]
    width = max(map(len, summary["species"]))
    rows = [
        [name.ljust(width), *map(str, counts)]
        for name, counts in zip(summary["species"], summary["cross_table"], strict=True)
    ]
    head[0] = head[0].ljust(width)
    return f"{fit(summary)}\n\nspecies and clusters\n{table(head, rows)}"


def score(summary: Summary) -> str:
    """Return the report of a score."""
    lines = [
        f"{summary['data']}: {plural(summary['n_samples'], 'sample')}{_weighted(summary)}",
        f"log-likelihood {criterion(summary['log_likelihood'])} "
        f"({number(summary['mean_log_likelihood'])} per sample)   {_criteria(summary)}".rstrip(),
    ]
    return "\n".join([*lines, f"per sample: {summary['per_sample']}"] if summary["per_sample"] else lines)


def merge(summary: Summary, text: str) -> str:
    """Return the report of merged components; `text` is the table of entropies."""
    k = summary["n_clusters"]
    rows = [
        [str(c), ", ".join(str(j) for j, group in enumerate(summary["groups"]) if group == c), str(size)]
        for c, size in enumerate(summary["cluster_sizes"][:k])
    ]
    if len(summary["cluster_sizes"]) > k:
        rows.append(["noise", "", str(summary["cluster_sizes"][k])])
    lines = [text, "", table(["cluster", "components", "samples"], rows)]
    return "\n".join([*lines, f"output: {summary['output']}"] if summary["output"] else lines)


def classify(summary: Summary) -> str:
    """Return the report of a classifier, and the classes of the samples unless they are in a file."""
    rows = [
        [str(label), str(size), number(prior), str(one["n_components"]), one["covariance_type"]]
        for label, size, prior, one in zip(
            summary["classes"], summary["class_sizes"], summary["priors"], summary["models"], strict=True
        )
    ]
    lines = [
        f"{summary['data']}: {plural(summary['n_samples'], 'sample')} of {plural(summary['n_features'], 'feature')}, "
        f"{len(rows)} classes",
        f"{summary['method']} by {summary['criterion']}: BIC {criterion(summary['bic'])}, "
        f"{100 * summary['training_error']:.4g} % of these samples are classified wrongly",
        "",
        table(["class", "samples", "prior", "components", "covariances"], rows),
    ]
    lines += [f"{name}: {path}" for name, path in summary["files"].items() if path]
    if "labels" in summary:
        lines += ["", *map(str, summary["labels"])]
    return "\n".join(lines)


def info(summary: Summary) -> str:
    """Return the description of a saved model."""
    bound = summary["lower_bound"]
    if not summary["n_iter"]:
        history = "made from given parameters"
    else:
        ended = "converged after" if summary["converged"] else "not converged in"
        history = f"{ended} {plural(summary['n_iter'], 'iteration')}"
        what = "lower bound of the evidence" if is_variational(summary["params"]) else "mean log-likelihood"
        history += f" at a {what} of {number(bound)}" if np.isfinite(bound) else ""
    params = ", ".join(f"{name}={value!r}" for name, value in summary["params"].items() if value is not None)
    return "\n".join(
        [
            f"{summary['model']}: {summary['class']}, {plural(summary['n_components'], 'component')}, "
            f"{plural(summary['n_features'], 'feature')}, {summary['covariance_type']} covariance, {summary['dtype']}",
            history,
            params,
            "",
            mixture(summary, "--json prints them all"),
        ]
    )


def warmup(summary: Summary) -> str:
    """Return the report of the compilation times."""
    rows = [[item["covariance_type"], item["dtype"], seconds(item["seconds"])] for item in summary["compiled"]]
    return f"{table(['covariance', 'dtype', 'time'], rows)}\n{seconds(summary['seconds'])} in all"
