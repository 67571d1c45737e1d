"""Stand-ins in plain PyTorch for the compiled operators that SGLang's CPU path reaches for Qwen3.5.

Names, arguments and results are those of SGLang's own `sgl_kernel`; the code
is ours, written for clearness. One sequence at a time, one token at a time:
right, and slow. A name that is missing here fails when it is called, and says so.

    norms   RMS norms of queries and keys, gated norms, the attention output's gate
    gdn     the gated delta rule: projections apart, gates, recurrence
    conv    the causal convolution before it
    pools   slots of the KV cache, handed out and copied
    moe     the shared expert's gate
"""

from __future__ import annotations

from typing import Any

import torch

from . import conv, gdn, moe, norms
from .pools import (
    assign_extend_cache_locs_cpu,
    assign_req_to_token_pool_cpu,
    fill_bonus_tokens_cpu,
)

__version__ = "0.0.0+standin"
__all__ = [
    "assign_extend_cache_locs_cpu",
    "assign_req_to_token_pool_cpu",
    "fill_bonus_tokens_cpu",
    "moe",
]

# SGLang calls these through torch's registry of operators.
for _module in (conv, gdn, norms):
    for _name in _module.__all__:
        setattr(torch.ops.sgl_kernel, _name, getattr(_module, _name))


def __getattr__(name: str) -> Any:
    if name.startswith("__"):
        raise AttributeError(name)

    def missing(*args: Any, **kwargs: Any) -> None:
        raise NotImplementedError(f"no stand-in on a CPU for sgl_kernel.{name}")

    return missing
