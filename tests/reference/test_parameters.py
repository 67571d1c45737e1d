"""Parameter counts against transformers' own classes on the meta device, exact for all sizes."""

from __future__ import annotations

from pathlib import Path

import torch
from shapes import shape
from transformers.models.qwen3_5 import Qwen3_5Config, Qwen3_5ForConditionalGeneration
from transformers.models.qwen3_5_moe import Qwen3_5MoeConfig, Qwen3_5MoeForConditionalGeneration
from transformers.models.qwen3_moe import Qwen3MoeConfig, Qwen3MoeForCausalLM

from kit.models import ModelSpec, model


def _network(name: str) -> torch.nn.Module:
    config = shape(name)
    moe = config["model_type"] == "qwen3_5_moe"
    config_class = Qwen3_5MoeConfig if moe else Qwen3_5Config
    network_class = Qwen3_5MoeForConditionalGeneration if moe else Qwen3_5ForConditionalGeneration
    with torch.device("meta"):
        return network_class(config_class(**config))


def _count(network: torch.nn.Module, *parts: str) -> int:
    return sum(
        p.numel()
        for name, p in network.named_parameters()
        if not parts or any(x in name for x in parts)
    )


def test_every_size_has_the_parameters_that_transformers_builds(size_name: str) -> None:
    network, ours = _network(size_name), model(size_name).parameters()
    assert ours.text + ours.vision == _count(network)
    assert ours.vision == _count(network, "visual.")
    assert ours.gdn == _count(network, "linear_attn.")
    assert ours.attention == _count(network, "self_attn.")
    assert ours.routed_experts == _count(network, "mlp.experts.")
    assert ours.shared_expert == _count(network, "shared_expert.")
    assert ours.router == _count(network, "mlp.gate.", "shared_expert_gate")
    assert ours.embeddings == _count(network, "embed_tokens")
    assert ours.head == _count(network, "lm_head")


def test_the_model_before_has_235_billion() -> None:
    with torch.device("meta"):
        network = Qwen3MoeForCausalLM(Qwen3MoeConfig(**shape("235b")))
    assert model("235b").parameters().total == _count(network)


def test_a_config_that_transformers_wrote_reads_the_same(size_name: str, tmp_path: Path) -> None:
    network = _network(size_name)
    network.config.save_pretrained(tmp_path)
    read, ours = ModelSpec.from_config(tmp_path, name=size_name), model(size_name)
    assert read.parameters().text == ours.parameters().text
    assert read.vision == ours.vision
    assert read.kv_bytes_per_token(mtp=False) == ours.kv_bytes_per_token(mtp=False)
    assert read.state_bytes_per_request() == ours.state_bytes_per_request()
