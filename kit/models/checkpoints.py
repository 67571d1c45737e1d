"""A checkpoint by what people have: a size's name, a Hub name, a folder, or a `config.json`.

    >>> checkpoint("Qwen/Qwen3.6-27B-FP8").precision
    'fp8'
    >>> checkpoint("unsloth/Qwen3.8-27B-NVFP4").model.name
    '27b'

Qwen3.5, 3.6 and 3.8 share their architecture size by size, so that one shape serves all three
(sglang 0.5.23, `arg_groups/overrides.py`; ms-swift's Qwen3.8 page).
"""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from kit.errors import InvalidValue
from kit.models.config import load
from kit.models.precision import FULL_BYTES, precisions
from kit.models.quantization import WHOLE, bytes_by_tensor, parts_of
from kit.models.spec import ModelSpec, family, model
from kit.models.weight_files import WeightFiles, weight_files

SIZES = {
    "397b-a17b": "397b", "122b-a10b": "122b", "35b-a3b": "35b", "27b": "27b", "9b": "9b",
    "4b": "4b", "2b": "2b", "0.8b": "0.8b",
}  # fmt: skip
SERIES = ("3.5", "3.6", "3.8")
NEXT = "80b"  # Qwen3-Next-80B-A3B and Qwen3-Coder-Next
PRECISIONS = (  # words of a name, the telling first → precision
    ("nvfp4", "nvfp4"), ("mxfp4", "mxfp4"), ("fp8", "fp8"), ("gptq", "gptq-int4"),
    ("awq", "gptq-int4"), ("autoround", "gptq-int4"), ("int4", "gptq-int4"), ("w4a16", "gptq-int4"),
    ("4bit", "gptq-int4"), ("int8", "fp8"), ("w8a8", "fp8"), ("w8a16", "fp8"), ("bf16", "bf16"),
)  # fmt: skip
ELSEWHERE = ("gguf", "exl3", "exl2", "mlx", "onnx")  # formats of other engines
CONFIG = "config.json"


class Checkpoint(NamedTuple):
    """A model's shape, and the precision of its weights; None where the name says nothing of it."""

    model: ModelSpec
    precision: str | None


def checkpoint(name: str) -> Checkpoint:
    """The checkpoint called `name`, or that lies there.

    Raises UnknownName for a size that is none, InvalidValue for a checkpoint that cannot be sized.
    """
    path = Path(name).expanduser()
    if path.exists() or path.name == CONFIG:
        return _from_files(path)
    if "/" in name or name.lower().startswith("qwen"):
        return _from_hub(name)
    return Checkpoint(model(name), None)


def _from_hub(name: str) -> Checkpoint:
    repo = name if "/" in name else f"Qwen/{name}"
    lower = repo.rsplit("/", 1)[-1].lower()
    words = re.split(r"[-_]", lower)
    for word in ELSEWHERE:
        if word in words:
            raise InvalidValue(
                f"{name} is in {word.upper()}, which SGLang does not serve this model in",
                "take the BF16, FP8, NVFP4, AWQ or GPTQ checkpoint of the same model",
            )
    spec = model(_size(name, lower))
    key = _precision(lower)
    stored = replace(
        spec.storage(key or "bf16"), checkpoint=repo, source=f"read from the name {repo}"
    )
    return Checkpoint(replace(spec, stored=stored), key or "bf16")


def _size(name: str, lower: str) -> str:
    if "qwen3-next" in lower or "qwen3-coder-next" in lower:
        return NEXT
    series = re.search(r"qwen[-_]?(3\.\d)", lower)
    size = re.search(r"(?<![\d.])(\d+(?:\.\d+)?[bt](?:-a\d+b)?)(?![a-z0-9])", lower)
    if series is None or series[1] not in SERIES or size is None or size[1] not in SIZES:
        raise InvalidValue(
            f"{name} is no checkpoint whose shape this kit knows",
            f"it knows Qwen{', '.join(SERIES)} in {', '.join(s.upper() for s in SIZES)}, and "
            "Qwen3-Next-80B-A3B; or give the checkpoint's folder or config.json",
        )
    return SIZES[size[1]]


def _precision(lower: str) -> str | None:
    return next((key for word, key in PRECISIONS if word in lower), None)


def _from_files(path: Path) -> Checkpoint:
    """Shape and storage from a folder or a `config.json`; weight files beside it are read too."""
    spec = _known(ModelSpec.from_config(path))
    file = path / CONFIG if path.is_dir() else path
    files = weight_files(file.parent)
    if files is not None:
        spec = _without_what_is_missing(spec, files)
    config = load(file)
    quantised = _quantization(config, file.parent)
    key, sizes = "bf16", tuple((t.name, t.count * FULL_BYTES) for t in spec.tensors)
    if quantised:
        layers, interval = spec.num_hidden_layers, spec.full_attention_interval
        key, sizes = bytes_by_tensor(quantised, spec.tensors, layers, interval, str(file))
    where = str(file.parent) if file.parent != Path() else spec.repo
    stored = replace(
        precisions()[key],
        checkpoint=where if path.is_dir() or files else spec.repo,
        parts=parts_of(sizes, spec.tensors, _block(quantised or {})),
        measured=_measured(sizes, files),
        source=f"{file}" + (", and the weight files beside it" if files else ""),
    )
    return Checkpoint(replace(spec, stored=stored), key)


def _known(spec: ModelSpec) -> ModelSpec:
    """The spec under its size's name, where the shape is one of the family's."""
    for known in (*family(), model(NEXT)):
        if replace(spec, name=known.name, repo=known.repo) == known:
            return replace(spec, name=known.name)
    return spec


def _without_what_is_missing(spec: ModelSpec, files: WeightFiles) -> ModelSpec:
    """MTP and vision only where the files have them: quantised copies leave them out at times."""
    if not files.kinds:
        return spec
    if not any(kind.startswith("mtp.") for kind in files.kinds):
        spec = replace(spec, mtp_num_hidden_layers=0)
    if not any(kind.startswith("model.visual.") for kind in files.kinds):
        spec = replace(spec, vision=None)
    return spec


def _quantization(config: dict[str, Any], folder: Path) -> dict[str, Any] | None:
    """The quantisation's own section, or ModelOpt's file beside the config."""
    text = config.get("text_config")
    for holder in (config, text if isinstance(text, dict) else {}):
        for field in ("quantization_config", "compression_config"):
            if isinstance(found := holder.get(field), dict):
                return found
    beside = folder / "hf_quant_config.json"
    return {"quant_method": "modelopt", **load(beside)} if beside.is_file() else None


def _block(quantised: dict[str, Any]) -> int:
    """Weights that share a scale both ways: FP8's blocks, which a shard must hold whole."""
    rows = quantised.get("weight_block_size")
    return int(rows[0]) * int(rows[1]) if rows else WHOLE


def _measured(
    sizes: tuple[tuple[str, int], ...], files: WeightFiles | None
) -> tuple[tuple[str, int], ...]:
    """Bytes by kind: of the files' headers, else of the config, stretched to the index's sum."""
    if files is None or files.total_bytes is None:
        return sizes
    if not files.sizes:
        factor = files.total_bytes / sum(size for _, size in sizes)
        return tuple((name, round(size * factor)) for name, size in sizes)
    found = {name: files.sizes.get(name, 0) for name, _ in sizes}
    strange = files.total_bytes - sum(found.values())  # kinds that the shape does not name
    largest = max(found, key=lambda name: found[name])
    return tuple({**found, largest: found[largest] + strange}.items())
