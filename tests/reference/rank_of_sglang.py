"""python rank_of_sglang.py MODEL RANKS: bytes that SGLang's own layers hold on one rank, as JSON.

MODEL is a name, or a folder with a config.json, quantised to FP8 where that says so.
SGLang's model classes are built on the meta device as rank 0 of RANKS, in a process group
whose other members are pretended (torch's "fake" backend). Nothing is allocated.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from pathlib import Path
from unittest import mock

import torch
import torch.distributed as dist
from shapes import write_shape
from torch.testing._internal.distributed.fake_pg import FakeStore

SHARED_WITH_THE_MODEL = ("embed_tokens", "lm_head")


def main(name: str, ranks: int) -> dict[str, int]:
    folder = Path(name)
    if not folder.is_dir():
        folder = Path(tempfile.mkdtemp())
        write_shape(name, folder)
    config = _publish(folder, ranks)
    # With the names that SGLang's CPU path adds where it pads heads; nothing is padded here.
    text = config.text_config
    text.linear_num_value_heads_cpu = text.linear_num_value_heads
    text.linear_num_key_heads_cpu = text.linear_num_key_heads
    import sglang.srt.models.qwen3_5 as models
    from sglang.srt.models.qwen3_5_mtp import Qwen3_5ForCausalLMMTP

    network = getattr(models, config.architectures[0])
    quantised = None
    if given := getattr(config, "quantization_config", None):
        from sglang.srt.layers.quantization.fp8 import Fp8Config

        quantised = Fp8Config.from_config(given)
        quantised.packed_modules_mapping = network.packed_modules_mapping
    torch.set_default_dtype(torch.bfloat16)
    with torch.device("meta"):
        head = Qwen3_5ForCausalLMMTP(config, quant_config=quantised)
        main_model = network(config, quant_config=quantised)
    own = [
        p
        for key, p in head.named_parameters()
        if not any(part in key for part in SHARED_WITH_THE_MODEL)
    ]
    float32 = [p for p in main_model.parameters() if p.dtype == torch.float32]
    return {
        "mtp_parameters": sum(p.numel() for p in own),
        "mtp_bytes": sum(p.numel() * p.element_size() for p in own),
        "main_bytes": sum(p.numel() * p.element_size() for p in main_model.parameters()),
        "main_float32_parameters": sum(p.numel() for p in float32),
    }


def _publish(folder: Path, ranks: int):
    """State the configuration, and the process group, that a server would have."""
    from sglang.srt.configs.model_config import ModelConfig
    from sglang.srt.distributed import parallel_state
    from sglang.srt.runtime_context import SpawnRanks, publish
    from sglang.srt.server_args import ServerArgs

    args = ServerArgs(
        model_path=str(folder),
        device="cpu",
        tp_size=ranks,
        attention_backend="torch_native",
        skip_tokenizer_init=True,
        mem_fraction_static=0.5,
        disable_overlap_schedule=True,
    )
    publish(args, role="scheduler", ranks=SpawnRanks(world_rank=0))
    dist.init_process_group("fake", rank=0, world_size=ranks, store=FakeStore())
    new_group = dist.new_group

    def fake_group(members=None, *_, **options):
        kept = {key: options[key] for key in ("timeout",) if key in options}
        return new_group(members, backend="fake", **kept)

    with mock.patch.object(dist, "new_group", fake_group):
        parallel_state.init_distributed_environment(
            world_size=ranks, rank=0, local_rank=0, backend="fake"
        )
        parallel_state.initialize_model_parallel(backend="fake")
    return ModelConfig(model_path=str(folder)).hf_config


if __name__ == "__main__":
    os.environ["SGLANG_USE_MESSAGE_QUEUE_BROADCASTER"] = "false"  # it waits for the other ranks
    print(json.dumps(main(sys.argv[1], int(sys.argv[2]))))
