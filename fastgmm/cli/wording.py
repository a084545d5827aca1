"""Messages in the words of the command line: its options in place of the Python arguments that messages name."""

from __future__ import annotations

import re

#: Python arguments and their options.
OPTIONS = {
    "n_components": "--components",
    "covariance_type": "--covariance",
    "covariance_types": "--covariances",
    "tol": "--tol",
    "reg_covar": "--reg-covar",
    "weight_concentration_prior_type": "--weight-prior",
    "weight_concentration_prior": "--concentration",
    "prior": "--prior",
    "noise": "--noise",
    "on_collapse": "--on-collapse",
    "missing_values": "--missing",
    "max_iter": "--max-iter",
    "acceleration": "--acceleration",
    "algorithm": "--algorithm",
    "n_init": "--n-init",
    "init_params": "--init",
    "random_state": "--seed",
    "n_threads": "--threads",
    "sample_weight": "--weights",
    "checkpoint_every": "--checkpoint-every",
}
#: Arguments that are also English words: options if a message says something about them.
_OPTIONS_OF_READING = ("columns", "drop", "header", "delimiter", "decimal", "comment", "key", "dtype", "weights")
#: Options whose arguments are also English words: options if a message says which value they have.
_WORDS = ("noise", "prior")
#: Arguments that the command line does not have.
_OF_PYTHON = (
    "means_init",
    "weights_init",
    "precisions_init",
    "warm_start",
    "batch_size",
    "covariance_prior",
    "mean_prior",
)

# not within a word, a path, a quoted name or an option
_BEFORE, _AFTER = r"(?<![\w./\\'\"-])", r"(?![\w/\\'\"]|\.\w|-\w)"
_VALUE = r"""(?:\s?=\s?('[^']*'|[^\s,;:()]*[^\s,;:().]))?"""
_NAMES = [f"{name}(?=\\s?=)" if name in _WORDS else name for name in sorted(OPTIONS, key=len, reverse=True)]
_ARGUMENT = re.compile(f"{_BEFORE}({'|'.join(_NAMES)}){_VALUE}{_AFTER}")
_READING = re.compile(rf"(^|: )({'|'.join(_OPTIONS_OF_READING)})(?= (?:is|holds|asks|names) )")
_PYTHON = re.compile(f"{_BEFORE}({'|'.join(_OF_PYTHON)}){_AFTER}")
_DTYPE = re.compile(r"(?<=pass )(float64|float32)\b")
_ASIDE = " (in Python: "


def one_line(text: str) -> str:
    """Return a text on one line."""
    return " ".join(text.split())


def in_options(text: str, command: str = "fit") -> str:
    """Return a message with a command's options in place of names of arguments, and without the asides for Python."""

    def option(found: re.Match[str]) -> str:
        name = "covariance_types" if found[1] == "covariance_type" and command == "select" else found[1]
        return OPTIONS[name] + ("" if found[2] is None else f" {found[2].strip(chr(39))}")

    text = _without_asides(text)
    text = _ARGUMENT.sub(option, text)
    text = _READING.sub(r"\1--\2", text)
    text = _PYTHON.sub(r"\1 (in Python)", text)
    return _DTYPE.sub(r"--dtype \1", text)


def _without_asides(text: str) -> str:
    while (begin := text.find(_ASIDE)) >= 0:
        depth = 0
        for end in range(begin + 1, len(text)):
            depth += {"(": 1, ")": -1}.get(text[end], 0)
            if depth == 0:
                text = text[:begin] + text[end + 1 :]
                break
        else:
            return text
    return text


def option_for(argument: str) -> str | None:
    """Return the option for an argument's name, written as an option or not: --random-state means --seed."""
    return OPTIONS.get(argument.lstrip("-").replace("-", "_"))
