"""The network: transformers' own Qwen3.5, in the shape of config.toml."""

from __future__ import annotations

from typing import Any

from pocket.config import Size


def config(of: Size, tokenizer: Any) -> Any:
    """A Qwen3_5Config of this size over this vocabulary."""
    from transformers import Qwen3_5Config

    token = tokenizer.convert_tokens_to_ids
    shared = dict(of.shared)
    rope = {
        "rope_type": "default",
        "rope_theta": shared.pop("rope_theta"),
        "partial_rotary_factor": shared.pop("partial_rotary_factor"),
        "mrope_section": shared.pop("mrope_section"),
        "mrope_interleaved": True,
    }
    text = {
        **of.model,
        **shared,
        "vocab_size": of.vocabulary["size"],
        "rope_parameters": rope,
        "tie_word_embeddings": True,
        "eos_token_id": token("<|im_end|>"),
        "pad_token_id": token("<|endoftext|>"),
        "dtype": "float32",
    }
    return Qwen3_5Config(
        text_config=text,
        vision_config={**of.vision, "out_hidden_size": of.model["hidden_size"]},
        tie_word_embeddings=True,
        dtype="float32",
        image_token_id=token("<|image_pad|>"),
        video_token_id=token("<|video_pad|>"),
        vision_start_token_id=token("<|vision_start|>"),
        vision_end_token_id=token("<|vision_end|>"),
    )


def fresh(of: Size, tokenizer: Any) -> Any:
    """An untrained model, in float32."""
    import torch
    from transformers import Qwen3_5ForConditionalGeneration

    torch.manual_seed(0)
    return Qwen3_5ForConditionalGeneration(config(of, tokenizer))


def trained(of: Size) -> Any:
    """The model of the last checkpoint that `python -m pocket.train` finished, in float32."""
    import torch
    from transformers import Qwen3_5ForConditionalGeneration

    path = of.folder / "trunk"
    return Qwen3_5ForConditionalGeneration.from_pretrained(path, dtype=torch.float32)


def text_parameters(model: Any) -> list[tuple[str, Any]]:
    """Everything but the vision tower."""
    return [(name, p) for name, p in model.named_parameters() if "visual" not in name]
