"""What a profile must satisfy: each refusal says what is wrong, and the nearest that works."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kit.errors import InvalidValue
from kit.hardware.gpu import Gpu
from kit.models import KV_BYTES, STATE_BYTES
from kit.models.precision import precision

if TYPE_CHECKING:
    from kit.hardware.profile import Profile

YARN_FACTOR = 4
FP8_BLOCK = 128
OLDEST_GFX = 942  # SGLang's ROCm images and sgl-kernel's setup_rocm.py; below it nothing starts
STRATEGIES = ("auto", "no_buffer", "extra_buffer", "extra_buffer_lazy")
GPU_TRANSPORTS = ("cuda_ipc", "cuda_vmm")  # image features stay on the first GPU, in a pool
TRANSPORTS = (None, "cpu", *GPU_TRANSPORTS)


def profile(p: Profile) -> None:
    """Raise InvalidValue, or UnknownName for a precision, where no server would take `p`."""
    precision(p.precision)
    count(p.tp_size)
    _ranks(p)
    _nodes(p)
    _experts(p)
    _options(p)
    _context(p)


def count(gpus: int) -> None:
    """Raise InvalidValue for a number of GPUs that cannot be."""
    if not isinstance(gpus, int) or isinstance(gpus, bool) or gpus < 1:
        raise InvalidValue(f"{gpus!r} GPUs", "give a whole number, 1 or more")


def mtp(num_steps: int, eagle_topk: int, num_draft_tokens: int) -> None:
    """Raise InvalidValue for a draft that SGLang would not run for Qwen3.5."""
    if num_steps < 1 or num_draft_tokens < 2:
        raise InvalidValue(
            f"MTP of {num_steps} steps and {num_draft_tokens} draft tokens",
            "the cookbook's is 3 steps, top-k 1, 4 draft tokens; without MTP: mtp=None",
        )
    if eagle_topk != 1 or num_draft_tokens != num_steps + 1:
        raise InvalidValue(
            f"{num_steps} steps with top-k {eagle_topk} and {num_draft_tokens} draft tokens",
            f"a chain has top-k 1 and {num_steps + 1} draft tokens: its steps and one more",
        )


def _ranks(p: Profile) -> None:
    valid = p.model.tp_sizes
    if p.tp_size in valid or p.gpu.is_cpu:  # on Xeon SGLang pads the heads
        return
    below = [n for n in valid if n < p.tp_size][-1:]
    above = [n for n in valid if n > p.tp_size][:1]
    raise InvalidValue(
        f"{p.tp_size} ranks do not divide the heads of {p.model.name} ({_heads(p)})",
        f"nearest: {' or '.join(str(n) for n in below + above)} GPUs",
    )


def _heads(p: Profile) -> str:
    m = p.model
    parts = [f"{m.num_attention_heads} query", f"{m.num_key_value_heads} KV"]
    if m.gdn_layers:
        parts.append(f"{m.linear_num_key_heads} and {m.linear_num_value_heads} of GDN")
    if m.vision is not None:
        parts.append(f"{m.vision.num_heads} of vision")
    return ", ".join(parts)


def _nodes(p: Profile) -> None:
    if p.nodes < 1 or p.tp_size % p.nodes:
        raise InvalidValue(
            f"{p.tp_size} ranks on {p.nodes} nodes",
            "each node holds the same number of ranks: 16 on 2, 8 on 1",
        )
    if p.tp_size // p.nodes > p.gpu.gpus_per_node:
        raise InvalidValue(
            f"{p.tp_size // p.nodes} ranks on a node that holds {p.gpu.gpus_per_node} {p.gpu.name}",
            f"use {-(-p.tp_size // p.gpu.gpus_per_node)} nodes",
        )


def _experts(p: Profile) -> None:
    if p.ep_size == 1:
        return
    if not p.model.num_experts:
        raise InvalidValue(f"{p.model.name} has no experts to spread", "leave ep_size at 1")
    if p.ep_size < 1 or p.tp_size % p.ep_size or p.model.num_experts % p.ep_size:
        raise InvalidValue(
            f"ep_size {p.ep_size} with {p.tp_size} ranks and {p.model.num_experts} experts",
            f"it divides both: 1 or {p.tp_size}",
        )


def _options(p: Profile) -> None:
    if p.mtp is not None and not p.model.mtp_num_hidden_layers:
        raise InvalidValue(f"{p.model.name} has no MTP head", "use mtp=None, or --no-mtp")
    fraction = p.mem_fraction_static
    if fraction is not None and not 0 < fraction < 1:
        raise InvalidValue(
            f"mem_fraction_static is {fraction}", "a share between 0 and 1; the cookbook's is 0.8"
        )
    for field in ("users", "max_running_requests", "chunked_prefill_size"):
        value = getattr(p, field)
        if value is not None and value < 1:
            raise InvalidValue(f"{field} is {value}", "give 1 or more, or leave it out")
    _one_of("ssm_dtype", p.ssm_dtype, tuple(STATE_BYTES))
    _one_of("kv_dtype", p.kv_dtype, tuple(KV_BYTES))
    _one_of("mamba_radix_cache_strategy", p.mamba_radix_cache_strategy, STRATEGIES)
    _one_of("mm_feature_transport", p.mm_feature_transport, TRANSPORTS)
    if refusal := transport_obstacle(p.mm_feature_transport, p.gpu, p.nodes):
        raise InvalidValue(refusal, "leave mm_feature_transport out")


def transport_obstacle(transport: str | None, gpu: Gpu, nodes: int) -> str | None:
    """Why image features cannot travel like that; None where they can.

    Source: sglang 0.5.23, arg_groups/serving_hook.py.
    """
    if transport in GPU_TRANSPORTS and not gpu.is_nvidia:
        return "CUDA IPC needs NVIDIA GPUs"
    if transport == "cuda_ipc" and nodes > 1:
        return "CUDA IPC reaches no further than one node"
    return None


def _one_of(field: str, value: str | None, known: tuple[str | None, ...]) -> None:
    if value not in known:
        raise InvalidValue(f"{field} is {value!r}", f"one of: {', '.join(map(str, known))}")


def _context(p: Profile) -> None:
    if p.context_length is None:
        return
    trained = p.model.max_position_embeddings
    most = trained * YARN_FACTOR
    if not 1 <= p.context_length <= most:
        raise InvalidValue(
            f"a context of {p.context_length:,} tokens", f"1 to {trained:,}; by YaRN up to {most:,}"
        )


def obstacle(p: Profile) -> str | None:
    """Why this precision does not run on this hardware, memory aside; None where it does."""
    recipe, gpu = precision(p.precision), p.gpu
    if gpu.is_cpu:
        return None if recipe.cpu else f"{recipe.title} does not run on a CPU"
    least = recipe.gfx if gpu.is_amd else recipe.sm
    if gpu.is_amd and not least:
        return f"{recipe.title} has no kernels on AMD; MXFP4 is its four-bit format"
    if not least:
        return f"{recipe.title} checkpoints are AMD's; NVFP4 is the four-bit format here"
    if gpu.arch_number < OLDEST_GFX and gpu.is_amd:
        return f"SGLang's kernels for AMD are built for gfx942 and gfx950; {gpu.name} is {gpu.arch}"
    if gpu.arch_number < least and gpu.is_amd:
        return f"{recipe.title} needs gfx{least} (MI355X); {gpu.name} is older"
    if gpu.arch_number < least:
        return (
            f"{recipe.title} needs compute capability {least / 10:.1f}; "
            f"{gpu.name} has {gpu.compute_capability}"
        )
    return _blocks(p)


def _blocks(p: Profile) -> str | None:
    """FP8 scales blocks of 128 x 128; a shard must hold whole blocks (sglang `fp8.py`)."""
    in_blocks = any(part.block == FP8_BLOCK**2 for part in p.model.storage(p.precision).parts)
    if p.precision != "fp8" or not in_blocks:
        return None
    m = p.model
    widths = {
        "experts": m.moe_intermediate_size if p.ep_size == 1 else 0,
        "shared expert": m.shared_expert_intermediate_size,
        "feed-forward": m.intermediate_size,
    }
    for part, width in widths.items():
        if width // p.tp_size % FP8_BLOCK:
            return (
                f"FP8's blocks of {FP8_BLOCK} do not divide the {part}: "
                f"{width} over {p.tp_size} ranks"
            )
    return None
