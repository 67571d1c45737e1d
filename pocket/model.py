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
    model = Qwen3_5ForConditionalGeneration(config(of, tokenizer))
    for layer in model.model.language_model.layers:
        if hasattr(layer, "linear_attn"):
            remember(layer.linear_attn)
    return model


def remember(mixer: Any) -> None:
    """Let each head of a Gated DeltaNet layer forget at its own pace at first: a state keeps from
    a third to nearly all of its strength over 4 to 1,000 tokens.

    transformers starts at `dt_bias` 1 and decays up to 16, where most heads forget everything at
    once, and cannot learn otherwise since nothing flows back. Mamba's authors start with small
    time steps too.
    """
    import torch

    with torch.no_grad():
        steps = torch.logspace(-3, -0.6, len(mixer.dt_bias))
        mixer.dt_bias.copy_(torch.log(torch.expm1(steps)))  # the inverse of softplus
        mixer.A_log.zero_()
        mixer.in_proj_a.weight.mul_(0.1)


def trained(of: Size) -> Any:
    """The model of the last checkpoint that `python -m pocket.train` finished, in float32."""
    import torch
    from transformers import Qwen3_5ForConditionalGeneration

    path = of.folder / "trunk"
    return Qwen3_5ForConditionalGeneration.from_pretrained(path, dtype=torch.float32)


def text_parameters(model: Any) -> list[tuple[str, Any]]:
    """Everything but the vision tower."""
    return [(name, p) for name, p in model.named_parameters() if "visual" not in name]
