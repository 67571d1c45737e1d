"""Every weight of a Qwen3.5, as one list: the counts, bytes and shards all fall out of it.

A tensor is named as in the checkpoint, with `*` for the layer number, so that a
quantisation recipe's own patterns can be matched against it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kit.models.spec import ModelSpec, Vision


class Shard(StrEnum):
    """How SGLang's tensor parallelism places a weight on `tp_size` ranks."""

    SPLIT = "split"  # each rank holds 1/tp_size
    KV_HEADS = "kv heads"  # split by KV heads, and replicated once there are fewer heads than ranks
    COPY = "copy"  # every rank holds all of it


@dataclass(frozen=True)
class Tensor:
    """One kind of weight: `shape` of one copy, in `copies` layers (or experts of layers)."""

    part: str
    name: str
    shape: tuple[int, ...]
    copies: int = 1
    shard: Shard = Shard.COPY

    @property
    def count(self) -> int:
        """Parameters in all copies."""
        size = self.copies
        for n in self.shape:
            size *= n
        return size


def tensors(spec: ModelSpec) -> Iterator[Tensor]:
    """All weights: text, MTP head, vision tower. Source: transformers' `modeling_qwen3_5*.py`,
    and SGLang's `qwen3_5_mtp.py` for the MTP head, which transformers does not load."""
    yield from _text(spec)
    yield from _mtp(spec)
    if spec.vision is not None:
        yield from _vision(spec.vision)


def _text(s: ModelSpec) -> Iterator[Tensor]:
    h = s.hidden_size
    yield Tensor("embeddings", "model.embed_tokens", (s.vocab_size, h), 1, Shard.SPLIT)
    if not s.tie_word_embeddings:
        yield Tensor("head", "lm_head", (s.vocab_size, h), 1, Shard.SPLIT)
    yield from _attention(s, s.full_layers)
    yield from _gdn(s, s.gdn_layers)
    yield from _feed_forward(s, s.num_hidden_layers)
    yield Tensor("norms", "model.layers.*.norm", (h,), 2 * s.num_hidden_layers)
    yield Tensor("norms", "model.norm", (h,))


def _attention(s: ModelSpec, layers: int) -> Iterator[Tensor]:
    h, d = s.hidden_size, s.head_dim
    q = s.num_attention_heads * d
    kv = s.num_key_value_heads * d
    gate = 2 if s.attn_output_gate else 1
    prefix = "model.layers.*.self_attn."
    yield Tensor("attention", prefix + "q_proj", (q * gate, h), layers, Shard.SPLIT)
    yield Tensor("attention", prefix + "k_proj", (kv, h), layers, Shard.KV_HEADS)
    yield Tensor("attention", prefix + "v_proj", (kv, h), layers, Shard.KV_HEADS)
    yield Tensor("attention", prefix + "o_proj", (h, q), layers, Shard.SPLIT)
    yield Tensor("attention", prefix + "q_norm", (d,), layers)
    yield Tensor("attention", prefix + "k_norm", (d,), layers)


def _gdn(s: ModelSpec, layers: int) -> Iterator[Tensor]:
    if not layers:
        return
    h, v_heads = s.hidden_size, s.linear_num_value_heads
    value = v_heads * s.linear_value_head_dim
    prefix = "model.layers.*.linear_attn."
    for name, shape in (
        ("in_proj_qkv", (s.conv_dim, h)),
        ("in_proj_z", (value, h)),
        ("in_proj_b", (v_heads, h)),
        ("in_proj_a", (v_heads, h)),
        ("conv1d", (s.conv_dim, s.linear_conv_kernel_dim)),
        ("dt_bias", (v_heads,)),
        ("A_log", (v_heads,)),
        ("out_proj", (h, value)),
    ):
        yield Tensor("gdn", prefix + name, shape, layers, Shard.SPLIT)
    yield Tensor("gdn", prefix + "norm", (s.linear_value_head_dim,), layers)


def _feed_forward(s: ModelSpec, layers: int) -> Iterator[Tensor]:
    h = s.hidden_size
    prefix = "model.layers.*.mlp."
    if not s.num_experts:
        yield Tensor("ffn", prefix + "proj", (3, s.intermediate_size, h), layers, Shard.SPLIT)
        return
    experts = layers * s.num_experts
    yield Tensor("router", prefix + "gate", (s.num_experts, h), layers)
    yield Tensor(
        "routed_experts",
        prefix + "experts.*.proj",
        (3, s.moe_intermediate_size, h),
        experts,
        Shard.SPLIT,
    )
    if s.shared_expert_intermediate_size:
        shape = (3, s.shared_expert_intermediate_size, h)
        yield Tensor("shared_expert", prefix + "shared_expert.proj", shape, layers, Shard.SPLIT)
        yield Tensor("router", prefix + "shared_expert_gate", (1, h), layers)


def _mtp(s: ModelSpec) -> Iterator[Tensor]:
    """One full-attention layer with the model's own feed-forward, and a mixer in front.

    Embeddings and head are the main model's.
    """
    n, h = s.mtp_num_hidden_layers, s.hidden_size
    if not n:
        return
    for tensor in (*_attention(s, n), *_feed_forward(s, n)):
        yield replace(tensor, part="mtp", name=tensor.name.replace("model.", "mtp.", 1))
    yield Tensor("mtp", "mtp.fc", (h, 2 * h))
    yield Tensor("mtp", "mtp.norm", (h,), 3 + 2 * n)


def _vision(v: Vision) -> Iterator[Tensor]:
    h, f, merged = v.hidden_size, v.intermediate_size, v.hidden_size * v.spatial_merge_size**2
    patch = v.in_channels * v.temporal_patch_size * v.patch_size**2
    for name, shape, copies, shard in (
        ("patch_embed.proj", (h, patch + 1), 1, Shard.COPY),
        ("pos_embed", (v.num_position_embeddings, h), 1, Shard.SPLIT),
        ("blocks.*.norm", (2, h), 2 * v.depth, Shard.COPY),
        ("blocks.*.attn.qkv", (3 * h, h + 1), v.depth, Shard.SPLIT),
        ("blocks.*.attn.proj", (h, h), v.depth, Shard.SPLIT),
        ("blocks.*.attn.proj.bias", (h,), v.depth, Shard.COPY),
        ("blocks.*.mlp.linear_fc1", (f, h + 1), v.depth, Shard.SPLIT),
        ("blocks.*.mlp.linear_fc2", (h, f), v.depth, Shard.SPLIT),
        ("blocks.*.mlp.linear_fc2.bias", (h,), v.depth, Shard.COPY),
        ("merger.norm", (2, h), 1, Shard.COPY),
        ("merger.linear_fc1", (merged, merged + 1), 1, Shard.SPLIT),
        ("merger.linear_fc2", (v.out_hidden_size, merged), 1, Shard.SPLIT),
        ("merger.linear_fc2.bias", (v.out_hidden_size,), 1, Shard.COPY),
    ):
        yield Tensor("vision", "model.visual." + name, shape, copies, shard)
