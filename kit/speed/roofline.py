"""A profile as seconds per byte and per FLOP: what a step's formulas multiply.

What is split over the ranks is divided by them; what every rank holds whole (KV below one head a
rank) is not. Links and network count one direction.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass

from kit.hardware import Profile
from kit.models import ModelSpec
from kit.models.precision import precision as precision_named
from kit.models.tensors import tensors
from kit.speed.constants import Constants, table

# Whose peak FLOP/s a precision's matrix products run at; int4 weights are widened to bf16 first.
_DTYPE = {"bf16": "bf16", "fp8": "fp8", "nvfp4": "fp4", "mxfp4": "fp4", "gptq-int4": "bf16"}
_ACTIVATION_BYTES = 2  # bf16 between the layers, at every precision


@dataclass(frozen=True)
class Shape:
    """The profile as seconds per thing: worked out once, used at every step."""

    decode_floor_s: float
    prefill_floor_s: float
    dense_weights_s: float
    expert_weights_s: float
    miss: float  # 1 − k/E: the share of experts that one token leaves alone
    draft_dense_s: float
    draft_expert_s: float
    flops_per_token: float
    attention_flops: float  # per query token and attended token
    s_per_flop: float
    kv_s_per_token: float
    draft_kv_s_per_token: float
    state_s: float
    exchange_s_per_token: float

    def weights_s(self, tokens: int) -> float:
        return self.dense_weights_s + self.expert_weights_s * (1 - self.miss**tokens)

    def draft_weights_s(self, tokens: int) -> float:
        return self.draft_dense_s + self.draft_expert_s * (1 - self.miss**tokens)

    @classmethod
    def of(cls, p: Profile, c: Constants) -> Shape:
        m = p.model
        tp, parts, weights = p.tp_size, m.parameters(), _weight_bytes(m, p.precision)
        s_per_byte = 1 / (p.gpu.bandwidth_gb_s * 1e9 * c.bandwidth_efficiency)  # on one rank
        shared = s_per_byte / tp  # for what is split over the ranks
        kv = m.kv_bytes_per_token_per_rank(tp, False, p.kv_dtype)
        draft_kv = m.kv_bytes_per_token_per_rank(tp, True, p.kv_dtype) - kv
        rows = parts.embeddings if parts.head else 0  # a look-up, no product
        hops_us = 2 * _hops_us(p)  # two all-reduces a layer
        return cls(
            decode_floor_s=m.num_hidden_layers * (c.decode_floor_us_per_layer + hops_us) / 1e6,
            prefill_floor_s=m.num_hidden_layers * (c.prefill_floor_us_per_layer + hops_us) / 1e6,
            dense_weights_s=weights["dense"] * shared,
            expert_weights_s=weights["experts"] * shared,
            miss=1 - m.num_experts_per_tok / m.num_experts if m.num_experts else 0.0,
            draft_dense_s=(weights["draft"] + weights["head"]) * shared,
            draft_expert_s=weights["draft experts"] * shared,
            flops_per_token=2.0 * (parts.active - rows),
            attention_flops=4.0 * m.full_layers * m.num_attention_heads * m.head_dim,
            s_per_flop=1 / (_peak_flops(p) * tp * c.flop_efficiency),
            kv_s_per_token=kv * s_per_byte,
            draft_kv_s_per_token=draft_kv * s_per_byte,
            state_s=m.state_bytes_per_request(p.ssm_dtype) * shared,
            exchange_s_per_token=2
            * m.num_hidden_layers
            * _all_reduce_s(p)
            / c.bandwidth_efficiency,
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
        bandwidth = p.gpu.bandwidth_gb_s * 1e9 * c.bandwidth_efficiency
        return cls(
            weights_s=2 * p.model.parameters().vision / p.tp_size / bandwidth,
            hops_s=2 * v.depth * _hops_us(p) / 1e6,
            merge=merge,
            s_per_patch=2 * (weights + merger) * s_per_flop + exchange_s,
            s_per_pair=4 * v.depth * v.hidden_size * s_per_flop,
        )


@functools.cache
def _weight_bytes(model: ModelSpec, precision: str) -> dict[str, int]:
    """Bytes that a step reads, by how often: always, by the experts touched, by each draft."""
    recipe = precision_named(precision)
    found = dict.fromkeys(("dense", "experts", "draft", "draft experts", "head"), 0)
    tied = model.tie_word_embeddings
    for tensor in tensors(model):
        size = recipe.bytes_of(tensor)
        if tensor.part == "head" or (tied and tensor.part == "embeddings"):
            found["head"] += size
            found["dense"] += size
        elif tensor.part == "mtp":
            found["draft experts" if ".experts." in tensor.name else "draft"] += size
        elif tensor.part == "routed_experts":
            found["experts"] += size
        elif tensor.part not in ("vision", "embeddings"):
            found["dense"] += size
    return found


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
