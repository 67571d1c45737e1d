"""GDN states after a verification: of each request, the one after its last accepted token."""

from __future__ import annotations

from torch import Tensor

__all__ = ["scatter_states"]


def scatter_states(
    pool: Tensor, kept: Tensor, slots: Tensor, steps: Tensor, rows: Tensor | None = None
) -> None:
    """pool[:, slot] ← kept[:, row, step] for each request whose step is not negative.

    pool [layers, slots, …], kept [layers, requests, drafts, …]. A kept convolution window may be
    narrower than the pool's: then it is the pool's last columns.
    """
    for request, (slot, step) in enumerate(zip(slots.tolist(), steps.tolist(), strict=False)):
        if slot < 0 or step < 0:
            continue
        state = kept[:, request if rows is None else int(rows[request]), step]
        pool[:, slot][..., pool.shape[-1] - state.shape[-1] :] = state.to(pool.dtype)
