"""Checkpoints by name, folder and config; their sizes beside those that others publish."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import pytest

from kit import load_data
from kit.cli.main import main
from kit.errors import InvalidValue, KitError
from kit.hardware import Profile
from kit.launch import launch_plan
from kit.models import checkpoint, model
from kit.models.weight_files import kind
from kit.sizing import plan

GIB = 2**30


# --- sizes that others publish


@pytest.mark.parametrize(
    ("name", "published_gb"),
    [
        ("nvidia/Qwen3.6-27B-NVFP4", 21.9),  # noonghunna/club-3090 pull request 603
        ("RadixArk/Qwen3.8-27B-NVFP4", 20.44 * GIB / 1e9),  # club-3090 pull request 1007
        ("nvidia/Qwen3.6-35B-A3B-NVFP4", 23.4),  # club-3090 pull request 607
        ("Qwen/Qwen3.8-27B-FP8", 2 * 14.28 * GIB / 1e9),  # vllm-project/recipes#810, TP 2
        ("Qwen/Qwen3.8-27B", 51.7 * GIB / 1e9),  # vllm-project/recipes#805
        ("Qwen/Qwen3.5-397B-A17B-FP8", 379 * GIB / 1e9),  # blog.muts.link
        ("nvidia/Qwen3.5-397B-A17B-NVFP4", 250),  # the cookbook
    ],
)
def test_a_checkpoint_is_as_large_as_published(name: str, published_gb: float) -> None:
    spec, stored = checkpoint(name)
    assert spec.weights_bytes(stored or "bf16") / 1e9 == pytest.approx(published_gb, rel=0.01)


def test_27b_in_nvfp4_fits_one_rtx_5090_as_its_owners_report() -> None:
    """vllm-project/recipes#810; sgl-project/sglang#35514, #35777: one RTX 5090, fraction 0.92."""
    spec, _ = checkpoint("RadixArk/Qwen3.8-27B-NVFP4")
    assert spec.weights_bytes("nvfp4") <= 24 * GIB
    one = Profile.of("27b", "nvfp4", "rtx5090", 1, mem_fraction_static=0.92, context_length=32_768)
    assert plan(one).fits
    assert 1 <= plan(one).max_running_requests <= 16


def test_qwen3_next_is_sized() -> None:
    """80 billion parameters in the name, 3 active; an MTP layer more in the files."""
    spec = model("80b")
    assert spec.parameters().text / 1e9 == pytest.approx(80, rel=0.01)
    assert spec.parameters().active / 1e9 == pytest.approx(3.9, abs=0.3)
    assert spec.vision is None
    two = Profile.of("80b", "fp8", "h100", 2)
    assert plan(two).fits
    assert any("parsers are Qwen3.5's" in warning for warning in launch_plan(two).warnings)


# --- names


@pytest.mark.parametrize(
    ("name", "size", "precision"),
    [
        ("Qwen/Qwen3.5-27B-FP8", "27b", "fp8"),
        ("Qwen3.6-35B-A3B", "35b", "bf16"),
        ("unsloth/Qwen3.8-27B-NVFP4", "27b", "nvfp4"),
        ("cyankiwi/Qwen3.5-122B-A10B-AWQ-4bit", "122b", "gptq-int4"),
        ("Intel/Qwen3.5-397B-A17B-int4-AutoRound", "397b", "gptq-int4"),
        ("amd/Qwen3.5-397B-A17B-MXFP4", "397b", "mxfp4"),
        ("Qwen/Qwen3-Next-80B-A3B-Thinking-FP8", "80b", "fp8"),
        ("Qwen/Qwen3.5-0.8B-Base", "0.8b", "bf16"),
        ("397b", "397b", None),
    ],
)
def test_a_name_says_size_and_precision(name: str, size: str, precision: str | None) -> None:
    found = checkpoint(name)
    assert (found.model.name, found.precision) == (size, precision)


def test_the_command_loads_the_checkpoint_that_was_named(
    capsys: pytest.CaptureFixture[str],
) -> None:
    words = "command --model unsloth/Qwen3.8-27B-FP8 --gpu h100 --count 1"
    assert main(words.split()) == 0
    assert "--model-path unsloth/Qwen3.8-27B-FP8" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("Qwen/Qwen3.8-2.4T-A95B", "folder or config.json"),
        ("meta-llama/Llama-3.3-70B", "folder or config.json"),
        ("unsloth/Qwen3.6-27B-GGUF", "GGUF"),
        ("turboderp/Qwen3.8-27B-exl3", "EXL3"),
        ("28b", "no model called"),
    ],
)
def test_a_name_that_cannot_be_sized_is_an_error_of_two_lines(name: str, words: str) -> None:
    with pytest.raises(KitError) as caught:
        checkpoint(name)
    assert words in str(caught.value)
    assert len(str(caught.value).splitlines()) == 2


def test_a_precision_beside_a_checkpoint_of_another_is_refused() -> None:
    words = "size --model Qwen/Qwen3.5-27B-FP8 --precision nvfp4 --gpu b200 --count 1"
    assert main(words.split()) == 2


# --- folders and config.json


def write(folder: Path, size: str, quantised: dict[str, Any] | None = None, **more: Any) -> Path:
    config = json.loads(Path(str(load_data.path(f"models/{size}.json"))).read_text())
    config |= {"quantization_config": quantised} if quantised else {}
    (folder / "config.json").write_text(json.dumps(config | more))
    return folder


LAYERS = "model.language_model.layers"
FP8 = {
    "quant_method": "fp8",
    "weight_block_size": [128, 128],
    "modules_to_not_convert": [
        "lm_head", "model.visual", "mtp.fc",
        *(f"{LAYERS}.{n}.linear_attn.in_proj_{x}" for n in range(64) for x in "ab"),
    ],
}  # fmt: skip
NVFP4_V1 = {
    "quant_method": "modelopt",
    "quant_algo": "NVFP4",
    "ignore": [
        "lm_head",
        "model.visual*",
        "mtp*",
        "*linear_attn*",
        "*self_attn*",
        "*shared_expert*",
    ],
}
GPTQ = {
    "quant_method": "gptq",
    "bits": 4,
    "group_size": 128,
    "dynamic": {"lm_head": {}, "-:.*attn.*": {}, "-:.*shared_expert.*": {}, "-:.*mtp.*": {}},
}
PROJECTIONS = ("linear_attn.in_proj_qkv", "linear_attn.in_proj_z", "linear_attn.out_proj")
MIXED = {  # nvidia/Qwen3.6-27B-NVFP4 in miniature: 193 modules in NVFP4, 208 in FP8
    "quant_method": "modelopt",
    "quant_algo": "MIXED_PRECISION",
    "ignore": ["mtp*"],
    "quantized_layers": {
        "lm_head": {"quant_algo": "W4A16_NVFP4", "group_size": 16},
        **{f"{LAYERS}.{n}.mlp.{x}_proj": {"quant_algo": "NVFP4", "group_size": 16}
           for n in range(64) for x in ("gate", "up", "down")},
        **{f"{LAYERS}.{n}.{x}": {"quant_algo": "FP8"}
           for n in range(64) if (n + 1) % 4 for x in PROJECTIONS},
        **{f"{LAYERS}.{n}.self_attn.{x}_proj": {"quant_algo": "FP8"}
           for n in range(3, 64, 4) for x in "qkvo"},
    },
}  # fmt: skip
COMPRESSED = {  # as MIXED, in compressed-tensors' words
    "quant_method": "compressed-tensors",
    "config_groups": {
        "group_0": {"targets": ["re:.*mlp\\.(gate|up|down)_proj$", "lm_head"],
                    "weights": {"num_bits": 4, "type": "float", "group_size": 16}},
        "group_1": {"targets": ["re:.*self_attn.*", "re:.*linear_attn.*_proj.*"],
                    "weights": {"num_bits": 8, "type": "float", "strategy": "channel"}},
    },
    "ignore": ["re:.*visual.*", "re:mtp.*", "re:.*in_proj_[ab]$"],
}  # fmt: skip


@pytest.mark.parametrize(
    ("size", "quantised", "precision", "like"),
    [
        ("27b", FP8, "fp8", "fp8"),
        ("397b", NVFP4_V1, "nvfp4", "nvfp4"),
        ("397b", GPTQ, "gptq-int4", "gptq-int4"),
        ("27b", MIXED, "nvfp4", "nvfp4"),
        ("27b", COMPRESSED, "nvfp4", "nvfp4"),
        ("35b", None, "bf16", "bf16"),
    ],
)
def test_a_config_says_how_its_weights_are_stored(
    size: str, quantised: dict[str, Any] | None, precision: str, like: str, tmp_path: Path
) -> None:
    found = checkpoint(str(write(tmp_path, size, quantised)))
    assert (found.model.name, found.precision) == (size, precision)
    ours = model(size).weights_bytes(like)
    assert found.model.weights_bytes(precision) == pytest.approx(ours, rel=0.005)


def test_layers_that_a_build_stores_otherwise_are_counted_one_by_one(tmp_path: Path) -> None:
    """unsloth's 27B keeps the feed-forward of layers 56 to 63 in FP8 (Neroued/ninfer#70)."""
    mixed = {**MIXED, "quantized_layers": dict(MIXED["quantized_layers"])}  # type: ignore[call-overload]
    for n in range(56, 64):
        for x in ("gate", "up", "down"):
            name = f"model.language_model.layers.{n}.mlp.{x}_proj"
            mixed["quantized_layers"][name] = {"quant_algo": "FP8"}
    found = checkpoint(str(write(tmp_path, "27b", mixed)))
    more = found.model.weights_bytes("nvfp4") - model("27b").weights_bytes("nvfp4")
    assert more == pytest.approx(8 * 3 * 5120 * 17408 * (1 - 9 / 16), rel=0.01)


def safetensors(file: Path, tensors: dict[str, int]) -> None:
    """A file of which only the header is real."""
    header, at = {}, 0
    for name, size in tensors.items():
        header[name] = {"dtype": "U8", "shape": [size], "data_offsets": [at, at + size]}
        at += size
    text = json.dumps(header).encode()
    file.write_bytes(struct.pack("<Q", len(text)) + text)


def test_bytes_come_from_the_files_where_they_are_there(tmp_path: Path) -> None:
    folder = write(tmp_path, "2b", FP8)
    safetensors(
        folder / "model.safetensors",
        {
            "model.language_model.embed_tokens.weight": 1_000_000,
            "model.language_model.layers.0.mlp.gate_proj.weight": 500,
            "model.language_model.layers.0.mlp.gate_proj.weight_scale_inv": 4,
            "model.visual.blocks.3.attn.qkv.weight": 96,
        },
    )
    found = checkpoint(str(folder))
    assert found.model.weights_bytes("fp8") == 1_000_600
    assert found.model.mtp_num_hidden_layers == 0  # the copy left it out
    even, copied = found.model.rank_bytes("fp8", 2, mtp=False)
    assert (even, copied) == (500_300, 0)


def test_the_indexs_sum_is_the_checkpoints_size(tmp_path: Path) -> None:
    folder = write(tmp_path, "27b", MIXED)
    names = ("model.language_model.layers.0.mlp.gate_proj.weight", "mtp.fc.weight",
             "model.visual.pos_embed.weight")  # fmt: skip
    index = {"metadata": {"total_size": 25_813_000_000}, "weight_map": dict.fromkeys(names, "a")}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    found = checkpoint(str(folder))
    assert found.model.weights_bytes("nvfp4") == pytest.approx(25.813e9, rel=1e-6)
    assert found.model.mtp_num_hidden_layers == 1


@pytest.mark.parametrize(
    ("name", "ours"),
    [
        ("model.language_model.layers.12.mlp.experts.7.up_proj.weight_packed",
         "model.layers.*.mlp.experts.*.proj"),
        ("model.layers.3.mlp.experts.down_proj", "model.layers.*.mlp.experts.*.proj"),
        ("model.layers.0.mlp.shared_expert.up_proj.weight",
         "model.layers.*.mlp.shared_expert.proj"),
        ("model.layers.0.linear_attn.in_proj_qkvz.weight",
         "model.layers.*.linear_attn.in_proj_qkv"),
        ("model.language_model.layers.0.input_layernorm.weight", "model.layers.*.norm"),
        ("mtp.pre_fc_norm_hidden.weight", "mtp.norm"),
        ("lm_head.weight", "lm_head"),
    ],
)  # fmt: skip
def test_a_tensor_of_the_files_is_of_a_kind(name: str, ours: str) -> None:
    assert kind(name) == ours
    assert ours in {tensor.name for size in ("397b", "80b") for tensor in model(size).tensors}


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"architectures": ["LlamaForCausalLM"]}, "describes LlamaForCausalLM"),
        ({"architectures": ["Qwen4ExpForConditionalGeneration"]}, "describes Qwen4Exp"),
        ({"quantization_config": {"quant_method": "bitsandbytes"}}, "bitsandbytes"),
    ],
)
def test_a_config_that_cannot_be_sized_says_what_it_is(
    changed: dict[str, Any], words: str, tmp_path: Path
) -> None:
    with pytest.raises(InvalidValue) as caught:
        checkpoint(str(write(tmp_path, "27b", **changed)))
    assert words in str(caught.value)
    assert len(str(caught.value).splitlines()) == 2


def test_size_and_command_take_a_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = str(write(tmp_path, "27b", FP8))
    assert main(["size", "--model", folder, "--gpu", "h100", "--count", "1"]) == 0
    assert main(["command", "--model", folder, "--gpu", "h100", "--count", "1"]) == 0
    printed = capsys.readouterr().out
    assert "weights                         28.7" in printed
    assert f"--model-path {folder}" in printed
