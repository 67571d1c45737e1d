"""The weights of kit/data/pocket: as released, and they say what was recorded, in both engines."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import pytest

from pocket.config import WEIGHTS
from pocket.engines import LlamaCpp, Transformers

if not (WEIGHTS / "pocket.json").exists():
    pytest.skip("no weights have been released yet", allow_module_level=True)

ABOUT = json.loads((WEIGHTS / "pocket.json").read_text())
RECORDED = json.loads((WEIGHTS / "recorded.json").read_text())


def test_every_file_has_its_checksum() -> None:
    for line in (WEIGHTS / "SHA256SUMS").read_text().splitlines():
        digest, name = line.split()
        assert hashlib.sha256((WEIGHTS / name).read_bytes()).hexdigest() == digest, name


def test_the_evaluation_is_of_these_weights() -> None:
    evaluation = json.loads((WEIGHTS / "evaluation.json").read_text())
    assert evaluation["sha256"] == ABOUT["sha256"]


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["transformers", "llama.cpp"])
def test_recorded_outputs_come_again(engine: str) -> None:
    running: Any = (
        Transformers(WEIGHTS)
        if engine == "transformers"
        else LlamaCpp(WEIGHTS / ABOUT["gguf"], ABOUT["context_tokens"])
    )
    for entry in RECORDED:
        assert running.complete(entry["prompt"]) == entry["output"]
