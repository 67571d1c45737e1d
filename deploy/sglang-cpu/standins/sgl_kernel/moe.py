"""The shared expert's gate: one number per token, by which the expert's output counts."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["gate_shared_expert", "gate_shared_expert_into"]


def _gated(x: Tensor, weight: Tensor, shared: Tensor) -> Tensor:
    gate = torch.sigmoid((x.float() * weight.float()).sum(dim=-1, keepdim=True))
    return (gate * shared.float()).to(shared.dtype)


def gate_shared_expert(x: Tensor, weight: Tensor, shared: Tensor) -> Tensor:
    """σ(x · weight) · shared."""
    return _gated(x, weight, shared)


def gate_shared_expert_into(x: Tensor, weight: Tensor, shared: Tensor, out: Tensor) -> None:
    """The same, added to the routed experts' output."""
    out.add_(_gated(x, weight, shared).to(out.dtype))
