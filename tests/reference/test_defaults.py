"""What SGLang 0.5.23 resolves where a command says nothing, against what the kit assumes.

The whole of SGLang's argument resolution runs (`ServerArgs.resolve_once`), on a CPU, told by
its own `override_platform` which GPU it is on.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pretend
import pytest
from sglang.srt.arg_groups.overrides import resolved_view
from sglang.srt.server_args import ServerArgs
from shapes import write_shape

from kit.hardware import Profile
from kit.sizing import plan
from kit.sizing.mem_fraction import default_fraction, headroom

CASES = [  # model, GPU, ranks, MTP
    ("397b", "h200", 8, True),
    ("397b", "h200", 8, False),
    ("397b", "h100", 16, True),
    ("397b", "b200", 8, True),
    ("397b", "b200", 8, False),
    ("122b", "h200", 4, True),
    ("35b", "h100", 2, True),
    ("27b", "l40s", 2, True),
    ("9b", "rtx5090", 1, True),
    ("4b", "l4", 1, True),
    ("0.8b", "t4", 1, False),
]


def _resolved(p: Profile, folder: Path):
    write_shape(p.model.name, folder)
    options: dict = {"nnodes": p.nodes} if p.nodes > 1 else {}
    if p.nodes > 1:
        options["dist_init_addr"] = "127.0.0.1:20000"
    if p.mtp:
        options |= {
            "speculative_algorithm": "EAGLE",
            "speculative_num_steps": p.mtp.num_steps,
            "speculative_eagle_topk": p.mtp.eagle_topk,
            "speculative_num_draft_tokens": p.mtp.num_draft_tokens,
        }
    with pretend.on(p.gpu):
        args = ServerArgs(
            model_path=str(folder),
            device="cuda",
            tp_size=p.tp_size,
            skip_tokenizer_init=True,
            **options,
        )
        args.resolve_once()
        return resolved_view(args)


@pytest.mark.parametrize(("model", "gpu", "ranks", "mtp"), CASES)
def test_defaults_are_sglangs(model: str, gpu: str, ranks: int, mtp: bool, tmp_path: Path) -> None:
    p = replace(Profile.of(model, "bf16", gpu, ranks), mem_fraction_static=None)
    p = p if mtp else replace(p, mtp=None)
    theirs = _resolved(p, tmp_path)
    assert default_fraction(p) == pytest.approx(theirs.mem_fraction_static, abs=1e-9)
    assert theirs.mamba_radix_cache_strategy == plan(p).strategy
    assert theirs.disable_radix_cache is False
    assert theirs.disable_overlap_schedule is not p.overlap
    assert theirs.page_size == plan(p).page_size
    assert theirs.max_running_requests == (48 if mtp else None)
    assert headroom(p).decode_batch == theirs.cuda_graph_config.decode.max_bs
