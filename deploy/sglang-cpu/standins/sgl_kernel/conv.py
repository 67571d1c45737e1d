"""The short causal convolution of a GDN layer: each channel looks back over its last tokens.

A sequence's state is its last `width − 1` inputs, [channels, width − 1].
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

__all__: list[str] = []  # SGLang imports these by name, not as torch operators


def _convolve(
    past: Tensor, x: Tensor, weight: Tensor, bias: Tensor | None, activation: str | None
) -> Tensor:
    """past [C, width − 1] and x [C, T] → [C, T]."""
    window = torch.cat([past.to(x.dtype), x], dim=1).float()
    y = F.conv1d(
        window[None],
        weight.float().unsqueeze(1),
        None if bias is None else bias.float(),
        groups=x.shape[0],
    )[0]
    return (F.silu(y) if activation in ("silu", "swish") else y).to(x.dtype)


def causal_conv1d_fn_cpu(
    x: Tensor, weight: Tensor, bias: Tensor | None, activation: str | None, conv_states: Tensor,
    has_initial_state: Tensor, cache_indices: Tensor, query_start_loc: Tensor, **_: object,
) -> Tensor:  # fmt: skip
    """Prefill: x [C, tokens], sequences one after another; states in place."""
    out, back = torch.zeros_like(x), weight.shape[-1] - 1
    bounds = query_start_loc.tolist()
    for i, slot in enumerate(cache_indices.tolist()[: len(bounds) - 1]):
        tokens = slice(bounds[i], bounds[i + 1])
        if tokens.start == tokens.stop:
            continue
        state = conv_states[slot][:, -back:]
        past = state if bool(has_initial_state[i]) else torch.zeros_like(state)
        out[:, tokens] = _convolve(past, x[:, tokens], weight, bias, activation)
        state.copy_(torch.cat([past.to(x.dtype), x[:, tokens]], dim=1)[:, -back:])
    return out


def causal_conv1d_update_cpu(
    x: Tensor, conv_states: Tensor, weight: Tensor, bias: Tensor | None, activation: str | None,
    conv_state_indices: Tensor, intermediate_conv_window: Tensor | None = None,
    intermediate_state_indices: Tensor | None = None, **_: object,
) -> Tensor:  # fmt: skip
    """Decode: x [requests, C]; or the drafts to verify, [requests, C, drafts].

    A verification leaves the states alone and keeps the window after each draft.
    """
    steps = x if x.dim() == 3 else x.unsqueeze(-1)
    out, back = torch.zeros_like(steps), weight.shape[-1] - 1
    for i, slot in enumerate(conv_state_indices.tolist()):
        if slot < 0:
            continue
        state = conv_states[slot][:, -back:]
        out[i] = _convolve(state, steps[i], weight, bias, activation)
        window = torch.cat([state.to(x.dtype), steps[i]], dim=1)
        if intermediate_conv_window is None:
            state.copy_(window[:, -back:])
            continue
        assert intermediate_state_indices is not None
        row = intermediate_conv_window[int(intermediate_state_indices[i])]
        for draft in range(steps.shape[-1]):
            row[draft] = window[:, draft + 1 : draft + 1 + back].to(row.dtype)
    return out.view_as(x)
