"""How a checkpoint's own `quantization_config` stores each weight.

Reads Qwen's FP8 blocks, compressed-tensors, ModelOpt (FP8, NVFP4, MIXED_PRECISION), AWQ, GPTQ,
AutoRound, MXFP4 and Quark. What a module is stored in is decided module by module, by the
config's own names and exceptions; routers, embeddings, norms and convolutions stay BF16.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from kit.errors import InvalidValue
from kit.models.precision import FULL_BYTES, Part
from kit.models.tensors import Tensor

WHOLE = 1 << 30  # one scale for the whole tensor, or one a channel: next to nothing
NEVER = ("embed_tokens", "conv1d", "dt_bias", "A_log", "norm", "pos_embed", "mlp.gate")
NEVER_ENDS = ("_norm", ".bias", "shared_expert_gate", "patch_embed.proj")
FUSED = ("mlp.proj", "experts.*.proj", "shared_expert.proj")  # one tensor here, three modules
PARTS = ("gate_proj", "up_proj", "down_proj")
PREFIXES = ("model.language_model.layers.", "model.layers.", "language_model.model.layers.")
FORMATS_ELSEWHERE = {"bitsandbytes", "exl3", "gguf", "mlx"}


@dataclass(frozen=True)
class Scheme:
    """What a quantised module is stored in."""

    bits: int
    block: int
    scale_bytes: float

    def bytes_of(self, count: float) -> float:
        return count * self.bits / 8 + count / self.block * self.scale_bytes


Rule = Callable[[tuple[str, ...]], Scheme | None]  # a module's names → what it is stored in


def bytes_by_tensor(
    config: dict[str, Any], all_tensors: tuple[Tensor, ...], layers: int, interval: int, file: str
) -> tuple[str, tuple[tuple[str, int], ...]]:
    """(precision key, bytes of each tensor kind) of a `quantization_config`.

    `layers` of the model; `interval`: one in how many has full attention. Raises InvalidValue for
    a method that SGLang does not serve these models in.
    """
    key, rule = _read(config, file)
    sizes = ((tensor.name, round(_bytes(tensor, rule, layers, interval))) for tensor in all_tensors)
    return key, tuple(sizes)


def _bytes(tensor: Tensor, rule: Rule, layers: int, interval: int) -> float:
    full = float(tensor.count * FULL_BYTES)
    if not _can_be_quantised(tensor.name):
        return full
    modules = list(_modules(tensor, layers, interval))
    share = tensor.count / len(modules)
    found = (rule(names) for names in modules)
    return sum(share * FULL_BYTES if s is None else s.bytes_of(share) for s in found)


def _can_be_quantised(name: str) -> bool:
    last = name.rsplit(".", 1)[-1]
    return not (last in NEVER or name.endswith(NEVER) or name.endswith(NEVER_ENDS))


def _modules(tensor: Tensor, layers: int, interval: int) -> Iterator[tuple[str, ...]]:
    """The modules that hold a kind of tensor: of each the names that it may be written under.

    Experts are stored alike within a layer, so one of them stands for all.
    """
    name = tensor.name
    fused = name.endswith(FUSED)
    stem = f"{name.removesuffix('proj')}" if fused else name
    for layer in _layers(tensor, layers, interval):
        for part in PARTS if fused else ("",):
            yield _spellings((stem + part).replace("*", str(layer), 1).replace("*", "0"))


def _layers(tensor: Tensor, layers: int, interval: int) -> list[int]:
    """The numbers of the layers that have the tensor."""
    name = tensor.name
    if name.startswith("mtp.") or "*" not in name:
        return [0]
    if not name.startswith("model.layers."):
        return list(range(tensor.copies))
    full = [n for n in range(layers) if (n + 1) % interval == 0]
    if ".self_attn." in name:
        return full
    if ".linear_attn." in name:
        return [n for n in range(layers) if n not in full]
    return list(range(layers))


def _spellings(module: str) -> tuple[str, ...]:
    if module.startswith("model.layers."):
        rest = module.removeprefix("model.layers.")
        names = [prefix + rest for prefix in PREFIXES]
        if ".in_proj_qkv" in rest or ".in_proj_z" in rest:  # Qwen3-Next keeps the two together
            names += [re.sub(r"in_proj_(qkv|z)$", "in_proj_qkvz", n) for n in names[:2]]
        return tuple(names)
    if module.startswith("model.visual."):
        return (module, module.removeprefix("model."))
    return (module, f"model.{module}", f"language_model.{module}")


# --- the methods


def _read(config: dict[str, Any], file: str) -> tuple[str, Rule]:
    method = str(
        config.get("quant_method") or ("modelopt" if "quant_algo" in config else "")
    ).lower()
    readers = {
        "fp8": _fp8,
        "modelopt": _modelopt,
        "modelopt_fp4": _modelopt,
        "modelopt_fp8": _modelopt,
        "modelopt_mixed": _modelopt,
        "compressed-tensors": _compressed,
        "awq": _groups_of_int,
        "gptq": _groups_of_int,
        "gptq_marlin": _groups_of_int,
        "auto-round": _groups_of_int,
        "mxfp4": _mxfp4,
        "quark": _mxfp4,
    }
    if method not in readers:
        more = ", which other engines read" if method in FORMATS_ELSEWHERE else ""
        raise InvalidValue(
            f"{file}: quantised by {method or 'no method that is named'}{more}",
            f"this kit sizes {', '.join(sorted(set(readers)))}",
        )
    return readers[method](config)


def _fp8(config: dict[str, Any]) -> tuple[str, Rule]:
    rows = config.get("weight_block_size") or (1, WHOLE)
    scheme = Scheme(8, int(rows[0]) * int(rows[1]), 4)
    excluded = [
        *(config.get("modules_to_not_convert") or ()),
        *(config.get("ignored_layers") or ()),
    ]
    return "fp8", _all_but(excluded, scheme, also=("visual",))


def _modelopt(config: dict[str, Any]) -> tuple[str, Rule]:
    given = config.get("quantization") or config
    excluded = [*(given.get("exclude_modules") or ()), *(given.get("ignore") or ())]
    layers = given.get("quantized_layers")
    algo = str(given.get("quant_algo") or "").upper()
    if layers:
        table = {name: _algo(row) for name, row in layers.items()}
        return _key_of(table.values()), _by_name(table, excluded)
    if given.get("config_groups") and algo not in ("NVFP4", "FP8"):
        return _compressed({**given, "ignore": excluded})
    scheme = _algo({"quant_algo": algo, "group_size": given.get("group_size")})
    return _key_of([scheme]), _all_but(excluded, scheme)


def _algo(row: dict[str, Any]) -> Scheme | None:
    algo = str(row.get("quant_algo") or "").upper()
    group = int(row.get("group_size") or 0)
    if "NVFP4" in algo:
        return Scheme(4, group or 16, 1)
    if "MXFP4" in algo:
        return Scheme(4, group or 32, 1)
    if "FP8" in algo:
        return Scheme(8, group * group if group else WHOLE, 4)
    if "INT4" in algo or "W4A" in algo:
        return Scheme(4, group or 128, 2)
    return None


def _compressed(config: dict[str, Any]) -> tuple[str, Rule]:
    """Groups with their targets: "Linear", names, or "re:…". The first that fits holds."""
    groups = [
        (tuple(map(str, group.get("targets") or ("Linear",))), _weights(group["weights"]))
        for group in (config.get("config_groups") or {}).values()
        if group.get("weights")
    ]
    excluded = tuple(map(str, config.get("ignore") or ()))

    def rule(names: tuple[str, ...]) -> Scheme | None:
        if any(_matches(pattern, name) for pattern in excluded for name in names):
            return None
        for targets, scheme in groups:
            if "Linear" in targets or any(_matches(t, n) for t in targets for n in names):
                return scheme
        return None

    return _key_of(scheme for _, scheme in groups), rule


def _weights(weights: dict[str, Any]) -> Scheme:
    bits, group = int(weights.get("num_bits") or 8), int(weights.get("group_size") or 0)
    block = weights.get("block_structure")
    if isinstance(block, list) and len(block) == 2:
        group = int(block[0]) * int(block[1])
    is_float = str(weights.get("type") or "float") == "float"
    if bits == 4:
        return Scheme(4, group or 128, 1 if is_float else 2)
    return Scheme(bits, group or WHOLE, 4)


def _groups_of_int(config: dict[str, Any]) -> tuple[str, Rule]:
    """AWQ, GPTQ, AutoRound: linear layers of the language model's blocks, but for those named."""
    group = int(config.get("group_size") or 128)
    bits = int(config.get("bits") or config.get("w_bit") or 4)
    zero = bits / 8 if config.get("zero_point", True) is not False else 0
    scheme = Scheme(bits, group if group > 0 else WHOLE, 2 + zero)
    excluded = [str(name) for name in config.get("modules_to_not_convert") or ()]
    for pattern, change in (config.get("dynamic") or {}).items():
        if pattern.startswith("-:"):
            excluded.append("re:" + pattern[2:])
        elif not change:
            excluded.append(pattern)
    for name, change in (config.get("extra_config") or {}).items():
        if isinstance(change, dict) and int(change.get("bits") or 16) >= 16:
            excluded.append(name if re.fullmatch(r"[\w.]+", name) else f"re:{name}")
    return "gptq-int4", _all_but(excluded, scheme, also=("lm_head", "visual", "mtp"))


def _mxfp4(config: dict[str, Any]) -> tuple[str, Rule]:
    weight = (config.get("global_quant_config") or {}).get("weight") or {}
    if isinstance(weight, list):
        weight = weight[0]
    if str(weight.get("dtype") or "fp4").startswith("fp8"):
        scheme = Scheme(8, WHOLE, 4)
    else:
        scheme = Scheme(4, int(weight.get("group_size") or 32), 1)
    excluded = [*(config.get("exclude") or ()), *(config.get("modules_to_not_convert") or ())]
    key = "mxfp4" if scheme.bits == 4 else "fp8"
    return key, _all_but(excluded, scheme, also=("visual",))


# --- what they have in common


def _all_but(excluded: Any, scheme: Scheme | None, also: tuple[str, ...] = ()) -> Rule:
    patterns = (*map(str, excluded), *also)

    def rule(names: tuple[str, ...]) -> Scheme | None:
        if any(_matches(pattern, name) for pattern in patterns for name in names):
            return None
        return scheme

    return rule


def _by_name(table: dict[str, Scheme | None], excluded: list[str]) -> Rule:
    """Modules listed one by one; a listed parent ("…mlp.experts") holds for what is in it."""

    def rule(names: tuple[str, ...]) -> Scheme | None:
        if any(_matches(pattern, name) for pattern in excluded for name in names):
            return None
        for name in names:
            module = name
            while module:
                if module in table:
                    return table[module]
                module = module.rpartition(".")[0]
        return None

    return rule


def _matches(pattern: str, name: str) -> bool:
    """As the engines do: "re:…" from the name's start, globs over all of it, else whole parts."""
    if pattern.startswith("re:"):
        try:
            return re.match(pattern[3:], name) is not None
        except re.error:
            return False
    if "*" in pattern or "?" in pattern:
        return fnmatchcase(name, pattern) or fnmatchcase(name, f"{pattern}.*")
    return re.search(rf"(^|\.){re.escape(pattern)}(\.|$)", name) is not None


def _key_of(schemes: Any) -> str:
    """The precision that a mixture goes by: its smallest."""
    found = [scheme for scheme in schemes if scheme is not None]
    smallest = min(found, key=lambda s: s.bits, default=None)
    if smallest is None:
        return "bf16"
    if smallest.bits == 8:
        return "fp8"
    return {16: "nvfp4", 32: "mxfp4"}.get(smallest.block, "gptq-int4")


def parts_of(
    sizes: tuple[tuple[str, int], ...], tensors: tuple[Tensor, ...], block: int
) -> tuple[Part, ...]:
    """For who asks only what is quantised, and in what blocks: the kinds below BF16's bytes."""
    full = {tensor.name: tensor.count * FULL_BYTES for tensor in tensors}
    small = tuple(name for name, size in sizes if size < 0.95 * full[name])
    bits = min((8 * size // max(full[n] // 2, 1) for n, size in sizes if n in small), default=16)
    return (Part(small, max(bits, 4), block, 0),) if small else ()
