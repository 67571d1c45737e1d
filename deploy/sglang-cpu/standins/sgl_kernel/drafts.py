"""Speculative decoding with a chain of drafts (`--speculative-eagle-topk 1`), greedily verified.

A request's step holds n tokens in a row: the last real one, then n − 1 drafts. The model gives
its own next token after each; a draft stands as long as it is what the model said before it.
"""

from __future__ import annotations

import ctypes

import torch
from torch import Tensor

__all__ = [
    "assign_draft_cache_locs_contiguous_cpu",
    "build_draft_decode_metadata_cpu",
    "build_tree_kernel_efficient_cpu",
    "copy_all_layer_kv_cache_cpu",
    "fill_accept_out_cache_loc_cpu",
    "rotate_input_ids_cpu",
    "verify_tree_greedy_cpu",
]


def _chain(topk: int) -> None:
    if topk != 1:
        raise NotImplementedError("drafts are a chain here: --speculative-eagle-topk 1")


def build_tree_kernel_efficient_cpu(
    _parents: Tensor, _selected: Tensor, lengths: Tensor, tree_mask: Tensor | None,
    positions: Tensor, index: Tensor, next_token: Tensor, next_sibling: Tensor,
    topk: int, _steps: int, tokens: int, mask_mode: int,
) -> None:  # fmt: skip
    """The tree of a chain: token j is followed by j + 1, none has a sibling."""
    _chain(topk)
    requests, row = lengths.shape[0], torch.arange(tokens)
    positions.view(requests, tokens).copy_(lengths[:, None] + row)
    index.view(requests, tokens).copy_(torch.arange(requests * tokens).view(requests, tokens))
    following = torch.where(row + 1 < tokens, row + 1, -1)
    next_token.view(requests, tokens).copy_(following.expand(requests, tokens))
    next_sibling.fill_(-1)
    drafts_only = 1  # of SGLang's TreeMaskMode: the mask among the step's own tokens
    if tree_mask is not None and int(mask_mode) == drafts_only:
        sees = torch.ones(tokens, tokens, dtype=torch.bool).tril()
        tree_mask.view(requests, tokens, tokens).copy_(sees.expand(requests, tokens, tokens))


def verify_tree_greedy_cpu(
    predicts: Tensor, accept_index: Tensor, accept_token_num: Tensor, candidates: Tensor,
    retrive_index: Tensor, retrive_next_token: Tensor, retrive_next_sibling: Tensor,
    target_predict: Tensor,
) -> None:  # fmt: skip
    """Which drafts stand: indices into `accept_index`, how many, and what is said after each.

    candidates [requests, n]; target_predict [requests × n], the model's token after each.
    """
    said = target_predict.reshape(-1)
    most = accept_index.shape[1] - 1
    for request, (tokens, rows) in enumerate(
        zip(candidates.tolist(), retrive_index.tolist(), strict=True)
    ):
        stands = 0
        while stands < min(most, len(tokens) - 1):
            if tokens[stands + 1] != int(said[rows[stands]]):
                break
            stands += 1
        for j, row in enumerate(rows[: stands + 1]):
            accept_index[request, j] = row
            predicts[row] = said[row]
        accept_token_num[request] = stands


def build_draft_decode_metadata_cpu(
    req_to_token: Tensor, requests: Tensor, _lengths: Tensor, topk: int, _steps: int, _pool: int
) -> Tensor:
    """The rows of the requests that draft, one after another."""
    _chain(topk)
    return req_to_token[requests].contiguous()


def assign_draft_cache_locs_contiguous_cpu(
    requests: Tensor, req_to_token: Tensor, lengths: Tensor, out: Tensor,
    _pool: int, topk: int, columns: int,
) -> None:  # fmt: skip
    """The slots set aside after each request's tokens, one after another."""
    count = topk * columns
    for i, (request, at) in enumerate(zip(requests.tolist(), lengths.tolist(), strict=False)):
        slots = req_to_token[request, at : at + count]
        out[i * count : (i + 1) * count] = slots.to(out.dtype)


def fill_accept_out_cache_loc_cpu(accept_index: Tensor, slots: Tensor, out: Tensor) -> None:
    """The slots of the accepted tokens, closed up."""
    accepted = accept_index.reshape(-1)
    accepted = accepted[accepted >= 0].long()
    out[: len(accepted)] = slots[accepted]


def rotate_input_ids_cpu(
    ids: Tensor, starts: Tensor, lengths: Tensor, new: Tensor, select: Tensor | None = None
) -> None:
    """Each request's tokens move one to the left, for the MTP layer; the new one comes last."""
    for i, (at, count) in enumerate(zip(starts.tolist(), lengths.tolist(), strict=False)):
        if count:
            ids[at : at + count - 1] = ids[at + 1 : at + count].clone()
            last = at + count - 1 if select is None else int(select[i])
            ids[last] = new.reshape(-1)[i]


def copy_all_layer_kv_cache_cpu(
    data_ptrs: Tensor, strides: Tensor, targets: Tensor, sources: Tensor
) -> None:
    """Move slots of every layer's keys and values, given by address and bytes per slot."""
    for start, size in zip(data_ptrs.tolist(), strides.tolist(), strict=True):
        rows = [ctypes.string_at(start + slot * size, size) for slot in sources.tolist()]
        for slot, row in zip(targets.tolist(), rows, strict=True):
            ctypes.memmove(start + slot * size, row, size)
