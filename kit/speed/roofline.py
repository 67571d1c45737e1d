"""A profile as seconds per byte and per FLOP: what a step's formulas multiply.

What is split over the ranks is divided by them; what every rank holds whole (routers, KV below one
head a rank) is not. Links and network count one direction. Each term has its reason:

- Quantised matrix products reach another share of their peak than BF16's (block scales, smaller
  tiles).
- Experts are a grouped product: few rows for each expert, so a smaller share of the peak.
- The experts that tokens choose are alike: t tokens touch as many as tᶜ independent ones would.
- Under expert parallelism every rank waits for the one whose experts were chosen most.
- Between the products a layer reads and writes its activations many times: norms, gates, the
  convolution.
- A GDN layer scans a prompt in chunks, head by head, in many small kernels that take as long on
  every GPU.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass

from kit.hardware import Profile
from kit.models import ModelSpec
from kit.models.tensors import Shard, Tensor, tensors
from kit.speed.constants import Constants, table

# Whose peak FLOP/s a precision's matrix products run at; int4 weights are widened to bf16 first.
_DTYPE = {"bf16": "bf16", "fp8": "fp8", "nvfp4": "fp4", "mxfp4": "fp4", "gptq-int4": "bf16"}
_ACTIVATION_BYTES = 2  # bf16 between the layers, at every precision


@dataclass(frozen=True)
class Experts:
    """Which share of a layer's routed experts a rank reads for a number of tokens."""

    chosen: float  # k/E: of the experts, by one token
    correlation: float
    ranks: int  # that hold whole experts
    per_rank: float  # experts

    def touched(self, tokens: int) -> float:
        """The share touched on the busiest rank, 0 … 1."""
        if not self.chosen:
            return 0.0
        missed = float((1 - self.chosen) ** (tokens**self.correlation))
        if self.ranks == 1:
            return 1 - missed
        most = math.sqrt(2 * math.log(self.ranks) * missed * (1 - missed) / self.per_rank)
        return min(1.0, 1 - missed + most)

    @classmethod
    def of(cls, p: Profile, c: Constants) -> Experts:
        e = p.model.num_experts
        chosen = p.model.num_experts_per_tok / e if e else 0.0
        return cls(chosen, c.expert_correlation, p.ep_size, e / p.ep_size)


@dataclass(frozen=True)
class Layers:
    """Weights on one rank: seconds to read them, and to compute a token with them."""

    dense_s: float
    experts_s: float  # all of them
    dense_flops_s: float
    expert_flops_s: float  # of those that one token chooses

    def seconds(self, tokens: int, touched: float) -> float:
        """Reading or computing, whichever takes longer, of each kind."""
        dense_s = max(self.dense_s, tokens * self.dense_flops_s)
        return dense_s + max(self.experts_s * touched, tokens * self.expert_flops_s)


@dataclass(frozen=True)
class Shape:
    """The profile as seconds per thing: worked out once, used at every step."""

    decode_floor_s: float
    draft_floor_s: float
    request_floor_s: float
    prefill_floor_s: float
    body: Layers
    head: Layers
    draft: Layers
    experts: Experts
    attention_s: float  # per query token and attended token
    activations_s: float  # per token of a prefill, with the GDN layers' scans
    kv_s_per_token: float
    draft_kv_s_per_token: float
    state_s: float
    exchange_s_per_token: float

    @classmethod
    def of(cls, p: Profile, c: Constants) -> Shape:
        m = p.model
        tp, layers = p.tp_size, m.num_hidden_layers
        s_per_byte = 1 / _bandwidth(p, c)
        kv = m.kv_bytes_per_token_per_rank(tp, False, p.kv_dtype)
        draft_kv = m.kv_bytes_per_token_per_rank(tp, True, p.kv_dtype) - kv
        hops_us = 2 * _hops_us(p)  # two all-reduces a layer
        floor_us = c.decode_floor_us_per_layer + hops_us
        if m.num_experts:
            floor_us += c.moe_floor_us_per_layer
        if p.precision != "bf16":
            floor_us += c.quantised_floor_us_per_layer
        attention = 4.0 * m.full_layers * m.num_attention_heads * m.head_dim
        return cls(
            decode_floor_s=layers * floor_us / 1e6,
            draft_floor_s=c.draft_floor_us / 1e6,
            request_floor_s=c.request_floor_us / 1e6,
            prefill_floor_s=layers * (c.prefill_floor_us_per_layer + hops_us) / 1e6,
            body=_layers(p, c, "body"),
            head=_layers(p, c, "head"),
            draft=_layers(p, c, "draft"),
            experts=Experts.of(p, c),
            attention_s=attention / tp / (_peak_flops(p, "bf16") * c.flop_efficiency),
            activations_s=layers
            * m.hidden_size
            * _ACTIVATION_BYTES
            * c.activation_passes
            * s_per_byte
            + m.gdn_layers * m.linear_num_value_heads / tp * c.scan_ns_per_head / 1e9,
            kv_s_per_token=kv * s_per_byte,
            draft_kv_s_per_token=draft_kv * s_per_byte,
            state_s=m.state_bytes_per_rank(tp, p.ssm_dtype) * s_per_byte,
            exchange_s_per_token=2 * layers * _all_reduce_s(p) / c.bandwidth_efficiency,
        )


@dataclass(frozen=True)
class VisionShape:
    """The vision tower, always bf16, as seconds per thing."""

    weights_s: float
    hops_s: float
    merge: int  # patches that become one token
    s_per_patch: float  # products and all-reduces
    s_per_pair: float  # of a patch and one that it attends to

    def seconds(self, image_tokens: int, images: int) -> float:
        patches = image_tokens * self.merge
        computing_s = patches * (self.s_per_patch + patches / images * self.s_per_pair)
        return max(self.weights_s, computing_s) + self.hops_s if patches else 0.0

    @classmethod
    def of(cls, p: Profile, c: Constants) -> VisionShape:
        v = p.model.vision
        assert v is not None
        merge = v.spatial_merge_size**2
        merged = v.hidden_size * merge
        block = 4 * v.hidden_size**2 + 2 * v.hidden_size * v.intermediate_size
        patch = v.in_channels * v.temporal_patch_size * v.patch_size**2
        weights = v.depth * block + patch * v.hidden_size
        merger = merged * (merged + v.out_hidden_size) / merge  # a patch's share
        s_per_flop = 1 / (_peak_flops(p, "bf16") * p.tp_size * c.flop_efficiency)
        exchange_s = 2 * v.depth * _all_reduce_s(p, v.hidden_size) / c.bandwidth_efficiency
        return cls(
            weights_s=2 * p.model.parameters().vision / p.tp_size / _bandwidth(p, c),
            hops_s=2 * v.depth * _hops_us(p) / 1e6,
            merge=merge,
            s_per_patch=2 * (weights + merger) * s_per_flop + exchange_s,
            s_per_pair=4 * v.depth * v.hidden_size * s_per_flop,
        )


def _layers(p: Profile, c: Constants, kind: str) -> Layers:
    m = p.model
    held = _held(m, p.precision, p.tp_size)
    s_per_byte = 1 / _bandwidth(p, c)
    plain_s = 1 / (_peak_flops(p, "bf16") * c.flop_efficiency)
    quantised_s = 1 / (_peak_flops(p) * c.flop_efficiency * c.quantised_flops)
    found = {
        (experts, quantised): held.get((kind, experts, quantised), _Held())
        for experts in (False, True)
        for quantised in (False, True)
    }
    chosen = m.num_experts_per_tok / m.num_experts / c.grouped_flops if m.num_experts else 0.0

    def flops_s(experts: bool) -> float:
        plain, quantised = found[experts, False], found[experts, True]
        return 2.0 * (plain.count * plain_s + quantised.count * quantised_s)

    def read_s(experts: bool) -> float:
        return (found[experts, False].bytes + found[experts, True].bytes) * s_per_byte

    return Layers(read_s(False), read_s(True), flops_s(False), flops_s(True) * chosen)


@dataclass
class _Held:
    """Weights on one rank."""

    bytes: float = 0.0
    count: float = 0.0


@functools.cache
def _held(m: ModelSpec, precision: str, tp: int) -> dict[tuple[str, bool, bool], _Held]:
    """What one rank holds, by (kind, of the routed experts, quantised)."""
    recipe = m.storage(precision)
    found: dict[tuple[str, bool, bool], _Held] = {}
    for tensor in tensors(m):
        kind = _kind(tensor, m)
        if kind is None:
            continue
        split = {Shard.COPY: 1, Shard.KV_HEADS: min(tp, m.num_key_value_heads), Shard.SPLIT: tp}
        held = found.setdefault(
            (kind, ".experts." in tensor.name, recipe.quantises(tensor)), _Held()
        )
        held.bytes += recipe.bytes_of(tensor) / split[tensor.shard]
        held.count += tensor.count / split[tensor.shard]
    return found


def _kind(tensor: Tensor, m: ModelSpec) -> str | None:
    """Read by every step, by the last tokens only, by each draft; None for what no step reads."""
    if tensor.part == "head" or (m.tie_word_embeddings and tensor.part == "embeddings"):
        return "head"
    if tensor.part == "mtp":
        return "draft"
    return None if tensor.part in ("vision", "embeddings") else "body"


def _bandwidth(p: Profile, c: Constants) -> float:
    """Bytes a second that a rank reads."""
    return p.gpu.bandwidth_gb_s * 1e9 * c.bandwidth_efficiency


def _peak_flops(p: Profile, precision: str | None = None) -> float:
    """Dense FLOP/s of one GPU at the profile's precision, or at what it has in its place."""
    wanted = (_DTYPE[precision or p.precision], "bf16", *p.gpu.flops)
    return next(p.gpu.flops[dtype] for dtype in wanted if dtype in p.gpu.flops) * 1e12


def _all_reduce_s(p: Profile, width: int | None = None) -> float:
    """One ring all-reduce of a token's activations: within the nodes, then between them."""
    size = (width or p.model.hidden_size) * _ACTIVATION_BYTES
    inside = p.tp_size // p.nodes
    link_s = 2 * (inside - 1) / inside * size / (p.gpu.link_gb_s * 1e9)
    network_s = 2 * (p.nodes - 1) / p.nodes * size / inside / (table()["network_gb_s"] * 1e9)
    return float(link_s + network_s)


def _hops_us(p: Profile) -> float:
    """What the network adds to a small all-reduce: up the tree of nodes and down again."""
    return float(2 * math.ceil(math.log2(p.nodes)) * table()["network_hop_us"])
