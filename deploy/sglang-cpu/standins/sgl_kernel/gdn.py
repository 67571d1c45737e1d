"""The gated delta rule, token by token.

For each value head a state S [V, K] is kept per sequence. A token decays it by
e^g, corrects what it would recall for its key towards its value by a share
beta, and reads it with its query:

    S ← e^g S;   S ← S + beta (v − S k) kᵀ;   o = S q / √K

after Yang et al., "Gated Delta Networks", 2024. Queries and keys have unit length.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = [
    "fused_gdn_gating_cpu",
    "fused_qkvzba_split_reshape_cat_contiguous_cpu",
    "fused_sigmoid_gating_delta_rule_update_cpu",
]


def fused_qkvzba_split_reshape_cat_contiguous_cpu(
    qkvz: Tensor, ba: Tensor, key_heads: int, value_heads: int, key_dim: int, value_dim: int
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """The two projections of a GDN layer, apart: q, k and v together, then z, b and a."""
    z = qkvz[:, 2 * key_heads * key_dim + value_heads * value_dim :]
    return (
        qkvz[:, : qkvz.shape[1] - z.shape[1]].contiguous(),
        z.reshape(-1, value_heads, value_dim).contiguous(),
        ba[:, :value_heads].contiguous(),
        ba[:, value_heads:].contiguous(),
    )


def _gates(a_log: Tensor, a: Tensor, b: Tensor, dt_bias: Tensor) -> tuple[Tensor, Tensor]:
    """The log-decay g ≤ 0 and the share beta in (0, 1), both [tokens, value heads]."""
    g = -a_log.float().exp() * F.softplus(a.float() + dt_bias.float())
    return g, torch.sigmoid(b.float())


def fused_gdn_gating_cpu(
    a_log: Tensor, a: Tensor, b: Tensor, dt_bias: Tensor
) -> tuple[Tensor, Tensor]:
    g, beta = _gates(a_log, a, b, dt_bias)
    return g.unsqueeze(0), beta.to(b.dtype).unsqueeze(0)


def _recur(
    q: Tensor, k: Tensor, v: Tensor, g: Tensor, beta: Tensor, state: Tensor,
    after_token: Callable[[int, Tensor], None] = lambda token, state: None,
) -> tuple[Tensor, Tensor]:  # fmt: skip
    """One sequence: q, k [T, key heads, K], v [T, value heads, V], g, beta [T, value heads].

    Returns the outputs [T, value heads, V] and the state after the last token.
    """
    shared_by = v.shape[1] // k.shape[1]
    q, k = (F.normalize(x.float(), dim=-1, eps=1e-6) for x in (q, k))
    q, k = (x.repeat_interleave(shared_by, dim=1) for x in (q * q.shape[-1] ** -0.5, k))
    v, decay, beta, state = v.float(), g.float().exp(), beta.float(), state.float()
    out = torch.empty_like(v)
    for t in range(v.shape[0]):
        state = state * decay[t, :, None, None]
        wrong_by = v[t] - torch.einsum("hvk,hk->hv", state, k[t])
        state = state + torch.einsum("hv,hk->hvk", wrong_by * beta[t, :, None], k[t])
        out[t] = torch.einsum("hvk,hk->hv", state, q[t])
        after_token(t, state)
    return out, state


def _sequences(cu_seqlens: Tensor, slots: Tensor) -> Iterator[tuple[int, slice, int]]:
    """The sequences that hold tokens: position in the batch, their tokens, their slot."""
    bounds = cu_seqlens.tolist()
    for i, slot in enumerate(slots.tolist()[: len(bounds) - 1]):
        if bounds[i] < bounds[i + 1] and slot >= 0:
            yield i, slice(bounds[i], bounds[i + 1]), slot


def chunk_gated_delta_rule_cpu(
    q: Tensor, k: Tensor, v: Tensor, g: Tensor, beta: Tensor, initial_state: Tensor,
    cu_seqlens: Tensor, initial_state_indices: Tensor, **_: object,
) -> tuple[Tensor, None, None]:  # fmt: skip
    """Prefill: sequences one after another in [1, tokens, heads, dim]; states in place."""
    out = torch.zeros_like(v)
    for _i, tokens, slot in _sequences(cu_seqlens, initial_state_indices):
        inputs = (x[0, tokens] for x in (q, k, v, g, beta))
        result, state = _recur(*inputs, initial_state[slot])
        out[0, tokens] = result.to(out.dtype)
        initial_state[slot] = state.to(initial_state.dtype)
    return out, None, None


def fused_sigmoid_gating_delta_rule_update_cpu(
    A_log: Tensor, dt_bias: Tensor, q: Tensor, k: Tensor, v: Tensor, a: Tensor, b: Tensor,
    initial_state_source: Tensor, initial_state_indices: Tensor, cu_seqlens: Tensor,
    disable_state_update: bool = False, intermediate_states_buffer: Tensor | None = None,
    intermediate_state_indices: Tensor | None = None, **_: object,
) -> Tensor:  # fmt: skip
    """Decode, and verification of drafts: gates and recurrence in one.

    A verification leaves the states alone and keeps the one after each draft
    instead, [request, draft], so that the accepted one can be taken over.
    """
    heads = A_log.numel()
    g, beta = _gates(A_log, a.reshape(-1, heads), b.reshape(-1, heads), dt_bias)
    out, states = torch.zeros_like(v), initial_state_source
    for i, tokens, slot in _sequences(cu_seqlens, initial_state_indices):
        kept: list[Tensor] = []
        result, state = _recur(
            q[0, tokens], k[0, tokens], v[0, tokens], g[tokens], beta[tokens], states[slot],
            after_token=lambda _t, state, kept=kept: kept.append(state),
        )  # fmt: skip
        out[0, tokens] = result.to(out.dtype)
        if not disable_state_update:
            states[slot] = state.to(states.dtype)
        if intermediate_states_buffer is not None and intermediate_state_indices is not None:
            row = intermediate_states_buffer[int(intermediate_state_indices[i])]
            row[: len(kept)] = torch.stack(kept).to(row.dtype)
    return out
