"""A rehearsal's config makes one rank's weights, by transformers' and SGLang's own layers."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from test_ranks import _sglang
from transformers import AutoTokenizer
from transformers.models.qwen3_5_moe import Qwen3_5MoeConfig, Qwen3_5MoeForConditionalGeneration

from kit.hardware import profile
from kit.launch.rehearsal import Rehearsal, rehearsal
from kit.server.rehearse import prepare


@pytest.fixture
def h200(tmp_path: Path) -> tuple[Rehearsal, Path]:
    one = rehearsal(profile("h200x8"))
    prepare(one, tmp_path)
    return one, tmp_path / "model"


def test_transformers_counts_a_rank_of_the_plan(h200: tuple[Rehearsal, Path]) -> None:
    one, folder = h200
    config = Qwen3_5MoeConfig(**json.loads((folder / "config.json").read_text()))
    with torch.device("meta"):
        network = Qwen3_5MoeForConditionalGeneration(config)
    text = sum(p.numel() for name, p in network.named_parameters() if "visual." not in name)
    whole = replace(one.plan.profile.model, vision=None)
    assert 2 * text == sum(whole.rank_bytes("bf16", one.ranks, mtp=False))


@pytest.mark.timeout(300)
@pytest.mark.parametrize("name", ["h200x8", "397b-fp8-h100x8", "27b-fp8-h100x1"])
def test_sglangs_layers_hold_the_ranks_bytes(name: str, tmp_path: Path) -> None:
    one = rehearsal(profile(name))
    prepare(one, tmp_path)
    theirs, m = _sglang(str(tmp_path / "model"), 1), one.rank.model
    main = sum(m.rank_bytes(one.rank.precision, 1, mtp=False))
    head = sum(m.rank_bytes(one.rank.precision, 1, mtp=True)) - main
    # A_log is float32; with FP8 each attention layer has two float32 scales for its cache.
    scales = 8 if one.rank.precision == "fp8" else 0
    a_log = m.gdn_layers * m.linear_num_value_heads
    assert theirs["main_bytes"] == main + 2 * a_log + scales * m.full_layers
    assert theirs["mtp_bytes"] == head + scales


def test_a_word_is_a_token(h200: tuple[Rehearsal, Path]) -> None:
    """Under the class that transformers insists on, whatever tokenizer_config.json says."""
    tokenizer = AutoTokenizer.from_pretrained(h200[1])
    ids = torch.randint(1, h200[0].words - 26, (2000,)).tolist()
    assert tokenizer.encode(tokenizer.decode(ids)) == ids
    assert len(tokenizer) == h200[0].rank.model.vocab_size
