"""What stays outside the static budget: CUDA graphs, activations, and SGLang's own default for it.

Source: sglang `arg_groups/memory_hook.py`, `handle_gpu_memory_settings`.
"""

from __future__ import annotations

from dataclasses import dataclass

from kit.hardware import Profile
from kit.sizing.accounting import capacity, table

FULL_PEERS = 8  # the ranks of the start logs that show what communication takes
META_MIB = 512
LARGE_GPU_GIB = 60
LARGE_GPU_LEAST_MIB = 10 * 1024
MIB_PER_PREFILL_TOKEN = 1.5
MIB_PER_DECODE_SLOT = 2
VISION_FACTOR = 0.95  # its ViT scaling reads `num_hidden_layers`, which Qwen3.5 calls `depth`
VISION_SENSITIVITY = 0.1
VISION_BASE_HIDDEN = 1024


@dataclass(frozen=True)
class Headroom:
    """What serving needs beside weights and caches, in MiB: CUDA graphs, activations, and what
    SGLang's own default of the fraction keeps for both."""

    graphs_mib: float
    activations_mib: float
    reserved_mib: float
    decode_batch: int


def headroom(p: Profile) -> Headroom:
    """The estimate for `p`: activations by the prefill chunk, graphs by the decode batch.

    With MTP there are three sets of graphs: verify, draft and draft extend.
    """
    defaults = capacity(p.gpu.memory_gib)
    chunk = p.chunked_prefill_size or defaults.chunked_prefill_size
    batch = defaults.decode_batch if p.tp_size < 4 else defaults.decode_batch_tp4
    if p.max_running_requests is not None:
        batch = min(batch, p.max_running_requests)
    graphs = 0.0 if p.gpu.is_cpu else float(batch * MIB_PER_DECODE_SLOT)
    activations = META_MIB + max(chunk, 2048) * MIB_PER_PREFILL_TOKEN + p.tp_size / 8 * 1024
    reserved = graphs + activations
    if p.gpu.memory_gib > LARGE_GPU_GIB:
        reserved = max(reserved, LARGE_GPU_LEAST_MIB)
    if p.mtp is not None:
        graphs = _mtp_graphs_mib(graphs, batch)
    return Headroom(graphs, activations, reserved, batch)


def _mtp_graphs_mib(verify_mib: float, batch: int) -> float:
    known = table().estimates
    most = table().defaults.speculative_max_running
    verify = max(verify_mib, known.verify_graphs_gib * 1024 * min(batch, most) / most)
    return verify * (1 + known.draft_graphs_share + known.draft_extend_graphs_share)


def default_fraction(p: Profile) -> float:
    """`--mem-fraction-static` as SGLang chooses it where the command leaves it out."""
    total_mib = p.gpu.memory_gib * 1024
    fraction = round((total_mib - headroom(p).reserved_mib) / total_mib, 3)
    if p.model.vision is None:
        return fraction
    ratio = (p.model.vision.hidden_size / VISION_BASE_HIDDEN) ** 2
    scale = max(0.8, min(1.05, 1 - VISION_SENSITIVITY * (ratio - 1)))
    return fraction * VISION_FACTOR * scale


def context_gib(p: Profile) -> float:
    """GiB that a rank of `p` takes before its weights load; more where ranks talk to each other."""
    known = table().estimates
    return known.context_gib + known.communication_gib * peers_share(p)


def peers_share(p: Profile) -> float:
    """How much of the buffers for all the peers of TP 8 a rank has: 0 alone, 1 from TP 8 on."""
    return 0.0 if p.gpu.is_cpu else (min(p.tp_size, FULL_PEERS) - 1) / (FULL_PEERS - 1)


def static_fraction(p: Profile) -> float:
    """The share of a GPU's memory for weights and caches: the fraction asked for, or SGLang's."""
    fraction = default_fraction(p) if p.mem_fraction_static is None else p.mem_fraction_static
    return fraction * aiter_share(p)


def uses_aiter(p: Profile) -> bool:
    """AMD's own attention, but on gfx950 with MTP: it faults there, Triton's does not.

    Source: sgl-project/sglang#39517 (0.5.19, MI355X).
    """
    return p.gpu.is_amd and not (p.gpu.arch == "gfx950" and p.mtp is not None)


def aiter_share(p: Profile) -> float:
    """The part of the fraction in use: 0.85 with AMD's aiter and a long context, else 1."""
    defaults = table().defaults
    if uses_aiter(p) and p.context_tokens > defaults.aiter_context_tokens:
        return defaults.aiter_share
    return 1.0
