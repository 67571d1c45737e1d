"""Attention over the paged KV cache: what SGLang's own CPU backend, `intel_amx`, calls.

Queries are [tokens, heads, dim], cached keys and values [slots, KV heads, dim]. A row of
`req_to_token` holds the slots of one request's tokens, in order. Quantized caches, sliding
windows, caps on logits, cross-attention and token trees are refused: Qwen3.5 needs none of them.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = ["decode_attention_cpu", "extend_attention_cpu"]


def _attend(
    queries: Tensor, keys: Tensor, values: Tensor, slots: Tensor, scale: float, causal: bool
) -> Tensor:
    """The last `len(queries)` tokens of one request attend to all `len(slots)` of it."""
    mask = None
    if causal and len(queries) > 1:
        position = torch.arange(len(slots) - len(queries), len(slots))
        mask = torch.arange(len(slots))[None] <= position[:, None]
    q, k, v = (x.transpose(0, 1)[None] for x in (queries, keys[slots], values[slots]))
    out = F.scaled_dot_product_attention(
        q, k.to(q.dtype), v.to(q.dtype), attn_mask=mask, scale=scale, enable_gqa=True
    )
    return out[0].transpose(0, 1)


def _plain(
    scales: tuple[float, float], cap: float, cross: bool, window: int, sinks: object
) -> None:
    if scales != (1.0, 1.0) or cap or cross or window > 0 or sinks is not None:
        raise NotImplementedError("the stand-in attends plainly, as Qwen3.5 does")


def decode_attention_cpu(
    q: Tensor, keys: Tensor, values: Tensor, k_scale: float, v_scale: float, out: Tensor,
    new_k: Tensor | None, new_v: Tensor | None, new_slots: Tensor, _work: Tensor,
    req_to_token: Tensor, requests: Tensor, lengths: Tensor, scale: float, cap: float,
    cross: bool, window: int, _encoder: object, sinks: object,
) -> None:  # fmt: skip
    """One new token per request: its key and value go into the cache, then it attends."""
    _plain((k_scale, v_scale), cap, cross, window, sinks)
    if new_k is not None and new_v is not None:
        keys[new_slots] = new_k.view(-1, *keys.shape[1:]).to(keys.dtype)
        values[new_slots] = new_v.view(-1, *values.shape[1:]).to(values.dtype)
    for i, (request, length) in enumerate(zip(requests.tolist(), lengths.tolist(), strict=False)):
        slots = req_to_token[request, :length].long()
        out[i : i + 1] = _attend(q[i : i + 1], keys, values, slots, scale, causal=False)


def extend_attention_cpu(
    q: Tensor, _k: Tensor, _v: Tensor, out: Tensor, keys: Tensor, values: Tensor,
    k_scale: float, v_scale: float, req_to_token: Tensor, requests: Tensor, lengths: Tensor,
    new: Tensor, starts: Tensor, _longest: int, scale: float, cap: float, cross: bool,
    window: int, _encoder: object, sinks: object, tree_mask: Tensor | None, causal: bool,
) -> None:  # fmt: skip
    """A prefill, or drafts to verify: `new` tokens per request, which are in the cache already."""
    _plain((k_scale, v_scale), cap, cross, window, sinks)
    if tree_mask is not None:
        raise NotImplementedError("drafts are a chain here: --speculative-eagle-topk 1")
    spans = zip(requests.tolist(), lengths.tolist(), new.tolist(), starts.tolist(), strict=False)
    for request, length, count, at in spans:
        if count:
            slots = req_to_token[request, :length].long()
            tokens = slice(at, at + count)
            out[tokens] = _attend(q[tokens], keys, values, slots, scale, causal)
