"""Reading a checkpoint's `config.json` into the fields of a `ModelSpec`.

The Qwen3.5 layout nests the language model under `text_config`; a text-only
checkpoint, and Qwen3's, is flat.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from kit.errors import InvalidValue

ARCHITECTURES = {
    "Qwen3_5ForConditionalGeneration",
    "Qwen3_5MoeForConditionalGeneration",
    "Qwen3_5ForCausalLM",
    "Qwen3_5MoeForCausalLM",
    "Qwen3MoeForCausalLM",
}
ALWAYS = (
    "num_hidden_layers",
    "hidden_size",
    "vocab_size",
    "num_attention_heads",
    "num_key_value_heads",
    "head_dim",
    "max_position_embeddings",
)
GDN = (
    "linear_num_key_heads",
    "linear_num_value_heads",
    "linear_key_head_dim",
    "linear_value_head_dim",
    "linear_conv_kernel_dim",
)
MOE = ("num_experts", "num_experts_per_tok", "moe_intermediate_size")
VISION = ("depth", "hidden_size", "intermediate_size", "num_heads", "out_hidden_size")
VISION_DEFAULTS = (
    "patch_size",
    "spatial_merge_size",
    "temporal_patch_size",
    "in_channels",
    "num_position_embeddings",
)
AGAIN = "take the config.json that lies beside the checkpoint's safetensors files"


def read(path: Path, name: str | None) -> dict[str, Any]:
    """The fields of the model that `path` describes."""
    file = path / "config.json" if path.is_dir() else path
    config = _load(file)
    architecture = (config.get("architectures") or [config.get("model_type")])[0]
    if architecture not in ARCHITECTURES:
        raise InvalidValue(
            f"{file} describes {architecture or 'no architecture'}, which this kit cannot size",
            f"it reads {', '.join(sorted(ARCHITECTURES))}",
        )
    text = config.get("text_config", config)
    hybrid = architecture != "Qwen3MoeForCausalLM"
    moe = "Moe" in architecture
    vision = config.get("vision_config")
    repo = str(config.get("_name_or_path") or file.resolve().parent.name)
    spec = _take(text, ALWAYS, file)
    spec |= _take(text, GDN, file) if hybrid else dict.fromkeys(GDN, 0)
    spec |= _take(text, MOE, file) if moe else dict.fromkeys(MOE, 0)
    if not moe:
        spec |= _take(text, ("intermediate_size",), file)
    return {
        **spec,
        "name": name or repo.rsplit("/", 1)[-1].lower(),
        "repo": repo,
        "full_attention_interval": _interval(text, file) if hybrid else 1,
        "intermediate_size": 0 if moe else spec["intermediate_size"],
        "shared_expert_intermediate_size": text.get("shared_expert_intermediate_size", 0)
        if moe
        else 0,
        "tie_word_embeddings": bool(
            text.get("tie_word_embeddings", config.get("tie_word_embeddings", False))
        ),
        "mtp_num_hidden_layers": text.get("mtp_num_hidden_layers", 0),
        "vision": _vision(vision, file) if vision else None,
        "attn_output_gate": bool(text.get("attn_output_gate", hybrid)),
        "mamba_ssm_dtype": text.get("mamba_ssm_dtype", "float32"),
    }


def _load(file: Path) -> dict[str, Any]:
    try:
        config = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InvalidValue(f"there is no {file}", AGAIN) from None
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise InvalidValue(f"{file} is not whole JSON: {error}", AGAIN) from None
    if not isinstance(config, dict):
        raise InvalidValue(f"{file} holds no JSON object", AGAIN)
    return config


def _take(source: dict[str, Any], names: tuple[str, ...], file: Path) -> dict[str, Any]:
    missing = [name for name in names if name not in source]
    if missing:
        raise InvalidValue(f"{file} lacks {', '.join(missing)}", AGAIN)
    for name in names:
        value = source[name]
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            raise InvalidValue(f"{file}: {name} is {value!r}, not a positive whole number", AGAIN)
    return {name: source[name] for name in names}


def _vision(source: dict[str, Any], file: Path) -> Any:
    from kit.models import Vision

    given = tuple(name for name in VISION_DEFAULTS if name in source)
    return Vision(**_take(source, VISION + given, file))


def _interval(text: dict[str, Any], file: Path) -> int:
    """Every how many layers comes one with full attention: stated, or read off `layer_types`."""
    if "full_attention_interval" in text:
        return int(_take(text, ("full_attention_interval",), file)["full_attention_interval"])
    types = text.get("layer_types")
    if not types or "full_attention" not in types:
        raise InvalidValue(f"{file} lacks full_attention_interval and layer_types", AGAIN)
    return int(types.index("full_attention")) + 1
