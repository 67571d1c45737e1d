"""Bookkeeping of the KV cache: which slots belong to which token of which request."""

from __future__ import annotations

from torch import Tensor

__all__ = [
    "assign_extend_cache_locs_cpu",
    "assign_req_to_token_pool_cpu",
    "fill_bonus_tokens_cpu",
]


def _spans(requests: Tensor, starts: Tensor, ends: Tensor) -> list[tuple[int, int, int, int]]:
    """(request, first token, last token + 1, offset into the flat list of slots)."""
    spans, offset = [], 0
    for request, start, end in zip(requests.tolist(), starts.tolist(), ends.tolist(), strict=False):
        spans.append((request, start, end, offset))
        offset += end - start
    return spans


def assign_req_to_token_pool_cpu(
    requests: Tensor, req_to_token: Tensor, starts: Tensor, ends: Tensor, slots: Tensor, *_: object
) -> None:
    """Write the slots of new tokens, given one after another, into each request's row."""
    for request, start, end, at in _spans(requests, starts, ends):
        req_to_token[request, start:end] = slots[at : at + end - start].to(req_to_token.dtype)


def assign_extend_cache_locs_cpu(
    requests: Tensor, req_to_token: Tensor, starts: Tensor, ends: Tensor, slots: Tensor, *_: object
) -> None:
    """The other way round: collect the slots of a span of each request's row."""
    for request, start, end, at in _spans(requests, starts, ends):
        slots[at : at + end - start] = req_to_token[request, start:end].to(slots.dtype)


def fill_bonus_tokens_cpu(
    accepted: Tensor, accept_lengths: Tensor, bonus: Tensor, stride: int
) -> None:
    """The last accepted token of each request: the one that no draft gave."""
    flat = accepted.reshape(-1)
    for i, length in enumerate(accept_lengths.tolist()):
        bonus[i] = flat[stride * i + length - 1]
