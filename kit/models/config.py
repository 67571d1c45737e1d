"""Reading a checkpoint's `config.json` into the fields of a `ModelSpec`.

The Qwen3.5 layout nests the language model under `text_config`; a text-only
checkpoint, and Qwen3's, is flat.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from kit.errors import InvalidValue
from kit.text_file import read_text

ARCHITECTURES = {
    "Qwen3_5ForConditionalGeneration",
    "Qwen3_5MoeForConditionalGeneration",
    "Qwen3_5ForCausalLM",
    "Qwen3_5MoeForCausalLM",
    "Qwen3MoeForCausalLM",
    "Qwen3NextForCausalLM",
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
MOST_BYTES = 16 << 20  # the largest published ones have some tens of kilobytes
MOST_LAYERS = 10_000
MOST = 1 << 31  # of any other count
_LAYERS = {"num_hidden_layers", "depth", "mtp_num_hidden_layers", "full_attention_interval"}
AGAIN = "take the config.json that lies beside the checkpoint's safetensors files"


def read(path: Path, name: str | None) -> dict[str, Any]:
    """The fields of a `ModelSpec`, the vision tower's as a dict, from the file or folder `path`.

    Raises KitError for a file that cannot be read, InvalidValue for one that cannot be sized.
    """
    file = path / "config.json" if path.is_dir() else path
    config = load(file)
    architecture = _architecture(config)
    if architecture not in ARCHITECTURES:
        shown = _short(architecture or "no architecture").strip("'")
        raise InvalidValue(
            f"{file} describes {shown}, which cannot be sized",
            f"it reads Qwen3.5, 3.6, 3.8 and Qwen3-Next: {', '.join(sorted(ARCHITECTURES))}",
        )
    text = _section(config, "text_config", file) or config
    hybrid = architecture != "Qwen3MoeForCausalLM"
    is_next = architecture == "Qwen3NextForCausalLM"
    moe = "Moe" in architecture or is_next
    vision = _section(config, "vision_config", file)
    repo = _word(config, "_name_or_path", file) or file.resolve().parent.name
    spec = _take(text, ALWAYS, file)
    spec |= _take(text, GDN, file) if hybrid else dict.fromkeys(GDN, 0)
    spec |= _take(text, MOE, file) if moe else dict.fromkeys(MOE, 0)
    if not moe:
        spec |= _take(text, ("intermediate_size",), file)
    _consistent(spec, file)
    return {
        **spec,
        "name": name or repo.rsplit("/", 1)[-1].lower(),
        "repo": repo,
        "full_attention_interval": _interval(text, file) if hybrid else 1,
        "intermediate_size": 0 if moe else spec["intermediate_size"],
        "shared_expert_intermediate_size": _optional(text, "shared_expert_intermediate_size", file)
        if moe
        else 0,
        "tie_word_embeddings": _flag(text, "tie_word_embeddings", file)
        or ("tie_word_embeddings" not in text and _flag(config, "tie_word_embeddings", file)),
        "mtp_num_hidden_layers": 1  # Qwen3-Next has the layer and does not name it
        if is_next
        else _optional(text, "mtp_num_hidden_layers", file),
        "vision": _vision(vision, file) if vision else None,
        "attn_output_gate": _flag(text, "attn_output_gate", file, hybrid),
        "mamba_ssm_dtype": _word(text, "mamba_ssm_dtype", file) or "float32",
    }


def load(file: Path) -> dict[str, Any]:
    """The JSON object in `file`. Raises KitError for a file that cannot be read, or is none."""
    if not file.exists():
        raise InvalidValue(f"there is no {file}", AGAIN)
    try:
        config = json.loads(read_text(file, AGAIN, MOST_BYTES))
    except json.JSONDecodeError as error:
        raise InvalidValue(f"{file} is not whole JSON: {error}", AGAIN) from None
    except (ValueError, RecursionError):  # a number of thousands of digits, brackets in brackets
        raise InvalidValue(f"{file} holds JSON that nobody wrote", AGAIN) from None
    if not isinstance(config, dict):
        raise InvalidValue(f"{file} holds no JSON object", AGAIN)
    return config


def _architecture(config: dict[str, Any]) -> str | None:
    named = config.get("architectures")
    first = named[0] if isinstance(named, list) and named else named or config.get("model_type")
    return first if isinstance(first, str) else None


def _consistent(spec: dict[str, Any], file: Path) -> None:
    for part, whole in (
        ("num_key_value_heads", "num_attention_heads"),
        ("linear_num_key_heads", "linear_num_value_heads"),
    ):
        if spec[part] and spec[whole] % spec[part]:
            raise InvalidValue(
                f"{file}: {part} {spec[part]} does not divide {whole} {spec[whole]}", AGAIN
            )
    if spec["num_experts_per_tok"] > spec["num_experts"]:
        raise InvalidValue(
            f"{file}: {spec['num_experts_per_tok']} experts per token of {spec['num_experts']}",
            AGAIN,
        )


def _section(config: dict[str, Any], name: str, file: Path) -> dict[str, Any] | None:
    section = config.get(name)
    if section is not None and not isinstance(section, dict):
        raise InvalidValue(f"{file}: {name} is {_short(section)}, not an object", AGAIN)
    return section


def _optional(source: dict[str, Any], name: str, file: Path) -> int:
    """A count that may be absent, or zero."""
    return int(_take(source, (name,), file)[name]) if source.get(name) else 0


def _flag(source: dict[str, Any], name: str, file: Path, absent: bool = False) -> bool:
    """A switch that may be absent, or null."""
    value = source.get(name)
    if value is not None and not isinstance(value, bool):
        raise InvalidValue(f"{file}: {name} is {_short(value)}, not true or false", AGAIN)
    return absent if value is None else value


def _word(source: dict[str, Any], name: str, file: Path) -> str:
    """A name that may be absent: then it is empty."""
    value = source.get(name)
    if value is not None and not isinstance(value, str):
        raise InvalidValue(f"{file}: {name} is {_short(value)}, not a name", AGAIN)
    return value or ""


def _short(value: object) -> str:
    """A value in an error: what of it a line has room for."""
    try:
        shown = repr(value)
    except (ValueError, RecursionError):  # a number of thousands of digits, brackets in brackets
        shown = f"a long {type(value).__name__}"
    return shown if len(shown) <= 60 else f"{shown[:57]}…"


def _take(source: dict[str, Any], names: tuple[str, ...], file: Path) -> dict[str, Any]:
    missing = [name for name in names if name not in source]
    if missing:
        raise InvalidValue(f"{file} lacks {', '.join(missing)}", AGAIN)
    for name in names:
        value = source[name]
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            problem = f"{name} is {_short(value)}, not a positive whole number"
            raise InvalidValue(f"{file}: {problem}", AGAIN)
        if value > (MOST_LAYERS if name in _LAYERS else MOST):
            raise InvalidValue(f"{file}: {name} is {_short(value)}: no model has so many", AGAIN)
    return {name: source[name] for name in names}


def _vision(source: dict[str, Any], file: Path) -> dict[str, Any]:
    given = tuple(name for name in VISION_DEFAULTS if name in source)
    return _take(source, VISION + given, file)


def _interval(text: dict[str, Any], file: Path) -> int:
    """One layer in how many has full attention: stated, or read off `layer_types`."""
    types = text.get("layer_types")
    if "full_attention_interval" in text:
        found = int(_take(text, ("full_attention_interval",), file)["full_attention_interval"])
    elif isinstance(types, list) and "full_attention" in types:
        found = types.index("full_attention") + 1
    else:
        raise InvalidValue(f"{file} lacks full_attention_interval and layer_types", AGAIN)
    layers = int(text["num_hidden_layers"])
    regular = ["linear_attention" if (n + 1) % found else "full_attention" for n in range(layers)]
    if types is not None and types != regular:
        raise InvalidValue(
            f"{file}: layer_types is not full attention every {found} layers of {layers}", AGAIN
        )
    return found
