"""Norms and gates of Qwen3.5's attention and of its GDN layers' outputs."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = [
    "fused_qk_gemma_rmsnorm_cpu",
    "fused_qk_gemma_rmsnorm_with_gate_cpu",
    "fused_rmsnorm_gated_cpu",
    "fused_sigmoid_mul_cpu",
]


def _rms(x: Tensor, eps: float) -> Tensor:
    x = x.float()
    return x * torch.rsqrt(x.square().mean(dim=-1, keepdim=True) + eps)


def _by_head(x: Tensor, weight: Tensor, eps: float, head_dim: int) -> Tensor:
    """Gemma's form of the RMS norm: the weight is stored as its distance from one."""
    heads = x.reshape(-1, head_dim)
    return (_rms(heads, eps) * (1 + weight.float())).to(x.dtype)


def fused_sigmoid_mul_cpu(x: Tensor, gate: Tensor) -> Tensor:
    """x ← x · σ(gate), in place: the gate on the attention's output."""
    return x.mul_(torch.sigmoid(gate.float()).to(x.dtype).view_as(x))


def fused_qk_gemma_rmsnorm_cpu(
    q: Tensor, k: Tensor, q_weight: Tensor, k_weight: Tensor, eps: float, head_dim: int
) -> tuple[Tensor, Tensor]:
    """Queries and keys, normed head by head: [tokens × heads, head_dim] each."""
    return _by_head(q, q_weight, eps, head_dim), _by_head(k, k_weight, eps, head_dim)


def fused_qk_gemma_rmsnorm_with_gate_cpu(
    q_gate: Tensor, k: Tensor, q_weight: Tensor, k_weight: Tensor, eps: float, head_dim: int,
    *_: object,
) -> tuple[Tensor, Tensor, Tensor]:  # fmt: skip
    """As above, where each head of the projection holds its query and then its gate."""
    tokens = q_gate.shape[0]
    query, gate = q_gate.reshape(tokens, -1, 2, head_dim).unbind(dim=2)
    return (
        _by_head(query, q_weight, eps, head_dim),
        _by_head(k, k_weight, eps, head_dim),
        gate.reshape(tokens, -1),
    )


def fused_rmsnorm_gated_cpu(x: Tensor, weight: Tensor, z: Tensor, eps: float) -> Tensor:
    """norm(x) · weight · silu(z): the output of a GDN layer."""
    return (_rms(x, eps) * weight.float() * F.silu(z.float())).to(x.dtype)
