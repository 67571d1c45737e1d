"""The weights of kit/data/pocket: as released, and they say what was recorded, in both engines."""

from __future__ import annotations

import json
from typing import Any

import pytest

from kit.pocket import SUMS, WEIGHTS, insist_on_released
from pocket.engines import LlamaCpp, Transformers

if not (WEIGHTS / "pocket.json").exists():
    pytest.skip("no weights have been released yet", allow_module_level=True)

ABOUT = json.loads((WEIGHTS / "pocket.json").read_text())
RECORDED = json.loads((WEIGHTS / "recorded.json").read_text())


def test_every_file_has_its_checksum() -> None:
    insist_on_released()
    sealed = (WEIGHTS / SUMS).read_text().split()[1::2]
    assert {*sealed, SUMS} == {path.name for path in WEIGHTS.iterdir()}


def test_the_evaluation_is_of_these_weights() -> None:
    evaluation = json.loads((WEIGHTS / "evaluation.json").read_text())
    assert evaluation["sha256"] == ABOUT["sha256"]


def says_it_again(engine: Any) -> None:
    for entry in RECORDED:
        assert engine.complete(entry["prompt"]) == entry["output"]


@pytest.mark.slow
def test_llama_cpp_says_what_was_recorded() -> None:
    pytest.importorskip("xllamacpp")
    says_it_again(LlamaCpp(WEIGHTS / ABOUT["gguf"], ABOUT["context_tokens"]))


@pytest.mark.slow
@pytest.mark.timeout(600)  # a minute of both cores; they may have other work
def test_transformers_says_what_was_recorded() -> None:
    pytest.importorskip("torch")
    pytest.importorskip("transformers")
    says_it_again(Transformers(WEIGHTS))


def test_the_card_says_what_was_evaluated() -> None:
    card = (WEIGHTS / "README.md").read_text()
    for row in json.loads((WEIGHTS / "evaluation.json").read_text())["rows"]:
        assert f"| {row['name']} | {row['right'] / row['asked']:.1%} | {row['asked']} |" in card
