"""The two slow spots of Qwen3.5's layers on a CPU, for training: same results, a few times faster.

`install()` puts them in the place of transformers' own; `tests/pocket/test_fast.py` compares.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

CHUNK = 64
_BLOCK = 8  # up to here the inverse is a short product; the powers stay small in float32


class _UnitLowerInverse(torch.autograd.Function):
    """(I - A)⁻¹ for A [n, CHUNK, CHUNK], strictly lower triangular."""

    @staticmethod
    def forward(ctx: Any, a: Tensor) -> Tensor:
        n, size = a.shape[0], _BLOCK
        blocks = a.reshape(n, CHUNK // size, size, CHUNK // size, size)
        power = blocks.diagonal(dim1=1, dim2=3).permute(0, 3, 1, 2).reshape(-1, size, size)
        out = torch.eye(size) + power
        for _ in range(2):  # (I + A)(I + A²)(I + A⁴) = I + A + … + A⁷
            power = power @ power
            out = torch.baddbmm(out, out, power)
        while size < CHUNK:
            pairs = CHUNK // (2 * size)
            halves = a.reshape(n, pairs, 2, size, pairs, 2, size)
            below = halves[:, :, 1, :, :, 0].diagonal(dim1=1, dim2=3).permute(0, 3, 1, 2)
            upper, lower = out.view(-1, 2, size, size).unbind(1)
            new = out.new_zeros(n * pairs, 2 * size, 2 * size)
            new[:, :size, :size], new[:, size:, size:] = upper, lower
            new[:, size:, :size] = lower @ (below.reshape(-1, size, size) @ upper)
            out, size = new, 2 * size
        ctx.save_for_backward(out)
        return out

    @staticmethod
    def backward(ctx: Any, given: Tensor) -> Tensor:  # type: ignore[override]
        (inverse,) = ctx.saved_tensors
        turned = inverse.mT
        return turned @ (given @ turned)


class _TapsThenSilu(torch.autograd.Function):
    """silu of the causal convolution of x [b, t, channels] with w [channels, taps]."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, w: Tensor) -> Tensor:
        taps = w.shape[1]
        y = x * w[:, -1]
        for back in range(1, taps):
            y[:, back:].addcmul_(x[:, :-back], w[:, taps - 1 - back])
        ctx.save_for_backward(x, w, y)
        return torch.nn.functional.silu(y)

    @staticmethod
    def backward(ctx: Any, given: Tensor) -> tuple[Tensor, Tensor]:  # type: ignore[override]
        x, w, y = ctx.saved_tensors
        taps = w.shape[1]
        dy = torch.ops.aten.silu_backward(given, y)
        dx = dy * w[:, -1]
        dw = torch.empty_like(w)
        dw[:, -1] = (dy * x).sum((0, 1))
        for back in range(1, taps):
            dx[:, :-back].addcmul_(dy[:, back:], w[:, taps - 1 - back])
            dw[:, taps - 1 - back] = (dy[:, back:] * x[:, :-back]).sum((0, 1))
        return dx, dw


def causal_conv1d(
    hidden_states: Tensor, weight: Tensor, bias: None = None, activation: str = "silu", **_: Any
) -> Tensor:
    """As transformers' `causal_conv1d_fn`: hidden_states [b, channels, t]."""
    x = hidden_states.transpose(1, 2)
    out: Any = _TapsThenSilu.apply(x.float(), weight.float())
    return out.to(x.dtype).transpose(1, 2)  # type: ignore[no-any-return]


@torch.autocast("cpu", enabled=False)
def gated_delta_rule(
    query: Tensor, key: Tensor, value: Tensor, g: Tensor, beta: Tensor, **_: Any
) -> tuple[Tensor, None]:
    """As transformers' `torch_chunk_gated_delta_rule` from an empty state; [b, t, heads, dim].

    The scan over chunks is one product a chunk: with the chunk's updates folded into a matrix M
    and an addend B, S ← M S + B; everything else is done for all chunks at once.
    """
    b, t, heads, dim = query.shape
    missing = -t % CHUNK
    chunks = (t + missing) // CHUNK

    def cut(x: Tensor) -> Tensor:
        x = torch.nn.functional.pad(x.float(), (0,) * (2 * x.dim() - 4) + (0, missing))
        return x.view(b, chunks, CHUNK, *x.shape[2:]).transpose(2, 3).flatten(0, 1).flatten(0, 1)

    q, k, v, decay, beta = (cut(x) for x in (query, key, value, g, beta))  # [b·chunks·heads, …]
    q = q * torch.rsqrt((q * q).sum(-1, keepdim=True) + 1e-6) * dim**-0.5
    k = k * torch.rsqrt((k * k).sum(-1, keepdim=True) + 1e-6)
    since = decay.cumsum(-1)
    last = since[:, -1:]
    above = torch.ones(CHUNK, CHUNK, dtype=torch.bool).triu(1)
    pairs = (since.unsqueeze(2) - since.unsqueeze(1)).masked_fill(above, float("-inf")).exp()
    kb = k * beta.unsqueeze(-1)
    inverse: Any = _UnitLowerInverse.apply(-((kb @ k.mT) * pairs).tril(-1))
    u = inverse @ (v * beta.unsqueeze(-1))
    w = inverse @ (kb * since.exp().unsqueeze(-1))
    k_end = (k * (last - since).exp().unsqueeze(-1)).mT
    keep = torch.eye(dim) * last.exp().unsqueeze(-1)
    moves = torch.baddbmm(keep, k_end, w, alpha=-1).view(b, chunks, heads, dim, dim)
    adds = (k_end @ u).view(b, chunks, heads, dim, -1)
    state = adds.new_zeros(b * heads, dim, adds.shape[-1])
    states = [state]
    for m, a in zip(moves.unbind(1)[:-1], adds.unbind(1)[:-1], strict=True):
        state = torch.baddbmm(a.flatten(0, 1), m.flatten(0, 1), state)
        states.append(state)
    before = torch.stack(states, 1)  # [b·heads, chunks, dim, value dim]
    before = before.view(b, heads, chunks, dim, -1).transpose(1, 2).flatten(0, 2)
    new = torch.baddbmm(u, w, before, alpha=-1)
    out = torch.baddbmm((q * since.exp().unsqueeze(-1)) @ before, (q @ k.mT) * pairs, new)
    out = out.view(b, chunks, heads, CHUNK, -1).transpose(2, 3).reshape(b, t + missing, heads, -1)
    return out[:, :t].to(query.dtype), None


def install() -> None:
    """From now on transformers' Qwen3.5 layers call these, but for generating with a cache."""
    from transformers.models.qwen3_5 import modeling_qwen3_5 as modeling

    theirs = modeling.torch_chunk_gated_delta_rule
    if getattr(theirs, "is_ours", False):
        return

    def rule(*args: Any, output_final_state: bool = False, **more: Any) -> tuple[Tensor, Any]:
        if output_final_state:
            return theirs(*args, output_final_state=True, **more)
        return gated_delta_rule(*args, **more)

    rule.is_ours = True  # type: ignore[attr-defined]
    modeling.causal_conv1d_fn = causal_conv1d
    modeling.torch_chunk_gated_delta_rule = rule
