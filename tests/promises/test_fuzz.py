"""Findings of fuzzing stay mended: each input that `tests/fuzz` keeps goes through its target once."""

from __future__ import annotations

from importlib import import_module

import pytest
from fuzz.choices import Choices, corpus, is_answer

from fastgmm import GaussianMixture

TARGETS = ("readers", "models", "fits")
KEPT = [pytest.param(target, path, id=f"{target}-{path.name}") for target in TARGETS for path in corpus(target)]


@pytest.mark.parametrize(("target", "path"), KEPT)
def test_an_input_that_is_kept_breaks_nothing(target, path):
    import_module(f"fuzz.{target}").one(path.read_bytes())


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("data", [b"", b"\x00" * 40, b"\xff" * 40, bytes(range(64))], ids=["none", "0", "255", "all"])
def test_any_bytes_will_do(target, data):
    import_module(f"fuzz.{target}").one(data)


def test_the_corpus_is_small():
    assert sum(path.stat().st_size for target in TARGETS for path in corpus(target)) < 10_000


def test_choices_go_on_for_ever():
    choices = Choices(b"\x07\xff")
    assert [choices.below(5), choices.flag(), choices.byte(), choices.number()] == [2, True, 0, -6.25]


def test_an_error_of_numpys_is_no_answer():
    def error_of(call):
        with pytest.raises(ValueError) as caught:  # noqa: PT011
            call()
        return caught.value

    assert is_answer(error_of(lambda: GaussianMixture(n_components=0).fit([[1.0], [2.0]])))
    assert not is_answer(error_of(lambda: int("x")))
