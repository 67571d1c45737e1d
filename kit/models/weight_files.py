"""What a checkpoint's own files say of its weights: names and bytes, by kind of tensor.

Reads the headers of safetensors files (a length and a JSON object at the start of each), and
`model.safetensors.index.json`, which has the names and the sum only.
"""

from __future__ import annotations

import json
import re
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kit.errors import InvalidValue

INDEX = "model.safetensors.index.json"
HEADER_MOST = 100_000_000  # bytes; the format's own limit
SUFFIXES = (
    ".weight_scale_inv", ".weight_scale_2", ".weight_scale", ".weight_packed", ".weight_shape",
    ".weight_global_scale", ".input_global_scale", ".input_scale", ".weight", ".qweight", ".qzeros",
    ".scales", ".g_idx", ".bias", ".k_scale", ".v_scale",
)  # fmt: skip
KINDS = (  # how a checkpoint writes a tensor → how kit/models/tensors.py calls it, in this order
    (r"^(model\.)?language_model\.(model\.)?", "model."),
    (r"^visual\.", "model.visual."),
    (r"\.\d+(?=\.|$)", ".*"),
    (r"(experts\.\*|shared_expert|mlp)\.(gate|up|down)_proj$", r"\1.proj"),
    (r"experts\.(gate_up_proj|down_proj|gate_proj|up_proj)$", "experts.*.proj"),
    (r"in_proj_qkvz$", "in_proj_qkv"),
    (r"in_proj_ba$", "in_proj_b"),
    (r"^model\.layers\.\*\.(input|post_attention)_layernorm$", "model.layers.*.norm"),
    (r"^mtp\.(norm|pre_fc_norm_\w+|layers\.\*\.\w+_layernorm)$", "mtp.norm"),
    (r"^model\.visual\.blocks\.\*\.norm\d$", "model.visual.blocks.*.norm"),
    (r"^model\.model\.", "model."),
)


@dataclass(frozen=True)
class WeightFiles:
    """`sizes`: bytes by kind of tensor, empty where no header is there; `total_bytes`, where
    known; `kinds`: every kind that is in the checkpoint."""

    sizes: dict[str, int]
    total_bytes: int | None
    kinds: frozenset[str]


def weight_files(folder: Path) -> WeightFiles | None:
    """What the files in `folder` say; None where there are none. Raises InvalidValue."""
    index = _index(folder)
    listed = set((index or {}).get("weight_map", {}).values())
    files = [folder / name for name in sorted(listed)] or sorted(folder.glob("*.safetensors"))
    there = [file for file in files if file.is_file()]
    if there and len(there) == len(files):
        sizes: dict[str, int] = {}
        for file in there:
            for name, size in _header(file):
                sizes[kind(name)] = sizes.get(kind(name), 0) + size
        return WeightFiles(sizes, sum(sizes.values()), frozenset(sizes))
    if index is None:
        return None
    total = (index.get("metadata") or {}).get("total_size")
    names = frozenset(kind(name) for name in index.get("weight_map", {}))
    return WeightFiles({}, int(total) if total else None, names)


def kind(name: str) -> str:
    """The kind of tensor that a checkpoint's name is of: layer and expert numbers become `*`."""
    for suffix in SUFFIXES:
        if name.endswith(suffix):
            name = name.removesuffix(suffix)
            break
    for pattern, written in KINDS:
        name = re.sub(pattern, written, name)
    return name


def _index(folder: Path) -> dict[str, Any] | None:
    file = folder / INDEX
    if not file.is_file():
        return None
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InvalidValue(f"{file} is not whole JSON: {error}", "download it again") from None
    return found if isinstance(found, dict) else None


def _header(file: Path) -> list[tuple[str, int]]:
    """(name, bytes) of each tensor in a safetensors file."""
    try:
        with file.open("rb") as stream:
            (length,) = struct.unpack("<Q", stream.read(8))
            if length > HEADER_MOST:
                raise ValueError("the header's length cannot be")
            header = json.loads(stream.read(length))
        rows = [(n, row["data_offsets"]) for n, row in header.items() if n != "__metadata__"]
        return [(name, int(end) - int(start)) for name, (start, end) in rows]
    except (OSError, ValueError, KeyError, TypeError, struct.error) as error:
        raise InvalidValue(
            f"{file} is no whole safetensors file: {error}", "download it again"
        ) from None
