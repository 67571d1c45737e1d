"""Stand-ins in plain PyTorch for the compiled operators that SGLang's CPU path reaches for Qwen3.5.

Names, arguments and results are those of SGLang's own `sgl_kernel`; the code
is ours, written for clearness. One sequence at a time, one token at a time:
right, and slow. A name that is missing here fails when it is called, and says so.

    norms      RMS norms of queries and keys, gated norms, the attention output's gate
    gdn        the gated delta rule: projections apart, gates, recurrence
    conv       the causal convolution before it
    attention  over the paged KV cache
    drafts     speculative decoding: a chain of drafts, verified greedily
    pools      slots of the KV cache, handed out and copied
    states     GDN states after accepted drafts
    moe        the shared expert's gate
"""

from __future__ import annotations

from typing import Any

import torch

from . import attention, conv, gdn, moe, norms
from .drafts import (
    assign_draft_cache_locs_contiguous_cpu,
    build_draft_decode_metadata_cpu,
    build_tree_kernel_efficient_cpu,
    copy_all_layer_kv_cache_cpu,
    fill_accept_out_cache_loc_cpu,
    rotate_input_ids_cpu,
    verify_tree_greedy_cpu,
)
from .pools import (
    assign_extend_cache_locs_cpu,
    assign_req_to_token_pool_cpu,
    fill_bonus_tokens_cpu,
)

__version__ = "0.0.0+standin"
__all__ = [
    "assign_draft_cache_locs_contiguous_cpu",
    "assign_extend_cache_locs_cpu",
    "assign_req_to_token_pool_cpu",
    "build_draft_decode_metadata_cpu",
    "build_tree_kernel_efficient_cpu",
    "copy_all_layer_kv_cache_cpu",
    "fill_accept_out_cache_loc_cpu",
    "fill_bonus_tokens_cpu",
    "moe",
    "rotate_input_ids_cpu",
    "verify_tree_greedy_cpu",
]

# SGLang calls these through torch's registry of operators.
for _module in (attention, conv, gdn, norms):
    for _name in _module.__all__:
        setattr(torch.ops.sgl_kernel, _name, getattr(_module, _name))


def __getattr__(name: str) -> Any:
    if name.startswith("__"):
        raise AttributeError(name)

    def missing(*args: Any, **kwargs: Any) -> None:
        raise NotImplementedError(f"no stand-in on a CPU for sgl_kernel.{name}")

    return missing
