"""The trained model as files: a folder for transformers and SGLang, and a GGUF for llama.cpp.

    python -m pocket.export --size small               into the size's work folder
    python -m pocket.export --size small --publish     into kit/data/pocket, with checksums

Weights are rounded to bfloat16 once, here; float16 holds those values too, so all engines
compute with the same numbers.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

from kit.pocket import SUMS, WEIGHTS
from pocket import gguf
from pocket import tokenizer as vocabulary
from pocket.config import Size, parser, size
from pocket.model import trained

GGUF = "pocket-f16.gguf"
LIMIT_MB = 25


def export(of: Size, folder: Path) -> None:
    """Write the folder anew."""
    import torch
    from safetensors.torch import save_file

    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    model = trained(of)
    vocabulary.load(of).save_pretrained(folder)
    model.config.save_pretrained(folder)
    model.generation_config.save_pretrained(folder)
    weights = {n: p for n, p in model.state_dict().items() if n != "lm_head.weight"}
    layer = torch.load(of.folder / "mtp.pt", weights_only=True)
    weights |= {f"mtp.{name}": value for name, value in layer.items()}
    rounded = {n: p.detach().to(torch.bfloat16).contiguous() for n, p in weights.items()}
    save_file(rounded, folder / "model.safetensors", metadata={"format": "pt"})
    shutil.copy(of.folder / "mtp.json", folder)
    _complete(folder)
    gguf.write(folder, folder / GGUF)
    text = sum(p.numel() for n, p in weights.items() if "visual" not in n and "mtp." not in n)
    about = {
        "name": f"pocket model ({text / 1e6:.1f} M parameters)",
        "gguf": GGUF,
        "sha256": hashlib.sha256((folder / GGUF).read_bytes()).hexdigest(),
        "parameters": text,
        "mtp_parameters": sum(p.numel() for p in layer.values()),
        "context_tokens": of.shared["max_position_embeddings"],
    }
    _write(folder / "pocket.json", about)


def _complete(folder: Path) -> None:
    """What SGLang reads and transformers does not write."""
    _edit(folder / "config.json", _for_sglang)
    _edit(folder / "tokenizer_config.json", lambda c: c.update(processor_class="Qwen3VLProcessor"))
    patches = {
        "processor_class": "Qwen3VLProcessor",
        "patch_size": 16,
        "temporal_patch_size": 2,
        "merge_size": 2,
        "size": {"shortest_edge": 1024, "longest_edge": 262144},
        "image_mean": [0.5] * 3,
        "image_std": [0.5] * 3,
        "do_resize": True,
        "do_rescale": True,
        "do_normalize": True,
        "do_convert_rgb": True,
    }
    image = {"image_processor_type": "Qwen2VLImageProcessorFast", **patches}
    video = {"video_processor_type": "Qwen3VLVideoProcessor", **patches}
    _write(folder / "preprocessor_config.json", image)
    _write(folder / "video_preprocessor_config.json", video)


def _for_sglang(config: dict[str, Any]) -> None:
    config["dtype"] = "bfloat16"
    config["vision_config"].update(dtype="bfloat16", deepstack_visual_indexes=[])
    config["text_config"].update(
        dtype="bfloat16",
        full_attention_interval=4,
        mtp_num_hidden_layers=1,
        mtp_use_dedicated_embeddings=False,
        attn_output_gate=True,
        mamba_ssm_dtype="float32",
    )


def _edit(path: Path, change: Any) -> None:
    content = json.loads(path.read_text())
    change(content)
    _write(path, content)


def _write(path: Path, content: Any) -> None:
    path.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n")


def seal(folder: Path) -> None:
    """SHA256SUMS over everything in the folder, as `sha256sum --check` reads it."""
    names = sorted(p.name for p in folder.iterdir() if p.is_file() and p.name != SUMS)
    sums = [f"{hashlib.sha256((folder / n).read_bytes()).hexdigest()}  {n}" for n in names]
    (folder / SUMS).write_text("\n".join(sums) + "\n")


def publish(source: Path, target: Path = WEIGHTS, limit_mb: float = LIMIT_MB) -> None:
    """Copy the folder to where the kit finds it, if it is small enough."""
    megabytes = sum(p.stat().st_size for p in source.iterdir()) / 1e6
    if megabytes > limit_mb:
        raise SystemExit(f"{source} holds {megabytes:.1f} MB; the repository takes {limit_mb}")
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(source, target)
    seal(target)
    print(f"{target}: {megabytes:.1f} MB")


def main() -> None:
    arguments = parser(__doc__)
    arguments.add_argument("--publish", action="store_true", help="also into kit/data/pocket")
    asked = arguments.parse_args()
    of = size(asked.size)
    folder = of.folder / "export"
    if not asked.publish:
        export(of, folder)
        print(f"{folder}: next, python -m pocket.evaluate --size {of.name}")
        return
    publish(folder)


if __name__ == "__main__":
    main()
