"""make_toy.py dense|moe FOLDER: a toy Qwen3.5 whose text is known beforehand.

The whole architecture is there, tiny: GDN layers, a full-attention layer,
dense or with experts, the vision tower. All of it is computed, and nearly all
of it contributes nothing, because the last projection of each part is zero.
What is left is a table from a token to the next one, in `lm_head`, over
one-hot embeddings; and in the attention layer three heads that each look for
one token in the whole context:

    <tools>          tools were given: call one
    <tool_response>  a tool has answered: do not call again
    <|vision_start|> an image or a video was given: say so

So the toy thinks, then answers, calls a tool or mentions the picture, always
in the same words. It shows the server's behaviour and nothing of a model's.
"""

from __future__ import annotations

import argparse
import itertools
import json
from pathlib import Path
from typing import Any

import torch
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers
from torch import nn
from transformers import PreTrainedTokenizerFast, Qwen3_5Config, Qwen3_5MoeConfig
from transformers import Qwen3_5ForConditionalGeneration as Dense
from transformers import Qwen3_5MoeForConditionalGeneration as Moe

HERE = Path(__file__).parent
HIDDEN = 448  # one dimension a token, and three for the flags
HEAD_DIM = 32
FLAGS = {"<tools>": HIDDEN - 3, "<tool_response>": HIDDEN - 2, "<|vision_start|>": HIDDEN - 1}

SPECIAL = [
    "<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|vision_start|>", "<|vision_end|>",
    "<|image_pad|>", "<|video_pad|>",
]  # fmt: skip
MARKERS = [
    "<think>", "</think>", "<tool_call>", "</tool_call>", "<tool_response>", "</tool_response>",
    "<tools>", "</tools>",
]  # fmt: skip

# Each text is a list of tokens, no token in two places: the table knows only the last one.
THINKING = ["Let", " me", " think", " about", " this", " question", "."]
ANSWER = ["Hello", " there", "!", " How", " can", " I", " help", " you", " today", "?"]
PICTURE = ["That", " picture", " meets", " a", " toy", " without", " eyes", "..."]
CALL = ["<tool_call>", "\n<function=", "get_weather", ">\n<parameter=", "city", ">\n", "Paris",
        "\n</parameter>", "\n</function>\n", "</tool_call>"]  # fmt: skip
PIECES = [piece for piece in CALL if piece not in MARKERS]
WORDS = [*THINKING, *ANSWER, *PICTURE, "\n", "\n\n"]


def tokenizer() -> PreTrainedTokenizerFast:
    """Bytes, the words above whole, and Qwen3.5's control tokens by their names."""
    byte_level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    spelt = [byte_level.pre_tokenize_str(word)[0][0] for word in WORDS]
    merges = [(word[:i], word[i]) for word in spelt for i in range(1, len(word))]
    merges = list(dict.fromkeys(merges))
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = dict.fromkeys([*alphabet, *("".join(pair) for pair in merges)])
    base = Tokenizer(models.BPE(vocab={t: i for i, t in enumerate(vocabulary)}, merges=merges))
    words = r"[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+|\s*[\r\n]+|\s+"
    base.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Split(Regex(words), "isolated"), byte_level]
    )
    base.decoder = decoders.ByteLevel()
    base.add_special_tokens([AddedToken(t, special=True, normalized=False) for t in SPECIAL])
    base.add_tokens([AddedToken(t, special=False, normalized=False) for t in MARKERS + PIECES])
    made = PreTrainedTokenizerFast(
        tokenizer_object=base,
        eos_token="<|im_end|>",
        pad_token="<|endoftext|>",
        additional_special_tokens=SPECIAL[1:],
        model_max_length=4096,
        clean_up_tokenization_spaces=False,
    )
    made.chat_template = (HERE / "chat_template.jinja").read_text()
    return made


def config(kind: str, ids: dict[str, int]) -> Qwen3_5Config | Qwen3_5MoeConfig:
    text: dict[str, Any] = {
        "vocab_size": HIDDEN,
        "hidden_size": HIDDEN,
        "num_hidden_layers": 4,
        "num_attention_heads": 4,
        "num_key_value_heads": 1,
        "head_dim": HEAD_DIM,
        "linear_key_head_dim": 32,
        "linear_value_head_dim": 32,
        "linear_num_key_heads": 2,
        "linear_num_value_heads": 2,
        "linear_conv_kernel_dim": 4,
        "max_position_embeddings": 4096,
        "tie_word_embeddings": False,
        "eos_token_id": ids["<|im_end|>"],
        "pad_token_id": ids["<|endoftext|>"],
        "rope_parameters": {
            "rope_type": "default",
            "rope_theta": 10_000_000,
            "partial_rotary_factor": 0.25,
            "mrope_section": [2, 1, 1],
            "mrope_interleaved": True,
        },
        "dtype": "bfloat16",
    }
    vision = {
        "depth": 1,
        "hidden_size": 32,
        "intermediate_size": 32,
        "num_heads": 2,
        "patch_size": 16,
        "spatial_merge_size": 2,
        "temporal_patch_size": 2,
        "out_hidden_size": HIDDEN,
        "num_position_embeddings": 64,
    }
    places = {
        "image_token_id": ids["<|image_pad|>"],
        "video_token_id": ids["<|video_pad|>"],
        "vision_start_token_id": ids["<|vision_start|>"],
        "vision_end_token_id": ids["<|vision_end|>"],
    }
    if kind == "dense":
        text["intermediate_size"] = 64
        return Qwen3_5Config(text_config=text, vision_config=vision, dtype="bfloat16", **places)
    text |= {
        "num_experts": 4,
        "num_experts_per_tok": 2,
        "moe_intermediate_size": 32,
        "shared_expert_intermediate_size": 32,
    }
    return Qwen3_5MoeConfig(text_config=text, vision_config=vision, dtype="bfloat16", **places)


def silence(model: nn.Module) -> None:
    """Zero the last projection of every layer, expert and of the vision tower."""
    last = ("o_proj", "out_proj", "down_proj", "merger.linear_fc2")
    for name, parameter in model.named_parameters():
        if any(part in name for part in last):
            parameter.zero_()


def watch(attention: nn.Module, ids: dict[str, int]) -> None:
    """Head h of the attention layer asks whether flag h's token is in the context.

    Its query is the same at every token. A watched token's key points along the
    same dimension, beyond the rotated ones, and the key norm's weight makes the
    softmax all but a maximum. The value is one dimension a flag.
    """
    query, key, value, out = (getattr(attention, f"{n}_proj").weight for n in ("q", "k", "v", "o"))
    for weight in (query, key, value, out):
        weight.zero_()
    attention.q_norm.weight.zero_()
    attention.k_norm.weight.fill_(7.0)  # stored as its distance from one
    other = HEAD_DIM - 1
    key[other, : HIDDEN - len(FLAGS)] = 1
    for head, (token, dimension) in enumerate(FLAGS.items()):
        asks = HEAD_DIM // 2 + head
        query[head * 2 * HEAD_DIM + asks, : HIDDEN - len(FLAGS)] = 1
        key[asks, ids[token]], key[other, ids[token]] = 1, 0
        value[head, ids[token]] = 1 / HIDDEN**0.5  # the norm before it scales a one-hot by √hidden
        out[dimension, head * HEAD_DIM + head] = 2  # the output gate, σ(0), halves it again


def write_table(head: torch.Tensor, ids: dict[str, int]) -> None:
    """Row b of `lm_head`, column a: how strongly token b follows token a."""

    def chain(*tokens: str) -> None:
        for before, after in itertools.pairwise(tokens):
            head[ids[after], ids[before]] = 4.0

    def branch(after: str, strength: float, **flags: float) -> None:
        head[ids[after], ids["\n\n"]] = strength
        for flag, weight in flags.items():
            head[ids[after], FLAGS[spelt[flag]]] = weight

    spelt = {"tools": "<tools>", "answered": "<tool_response>", "image": "<|vision_start|>"}
    head.zero_()
    chain("\n", *THINKING, "</think>", "\n\n", *ANSWER, "<|im_end|>", "\n\n")
    chain(*CALL, "<|im_end|>")
    chain(*PICTURE, "<|im_end|>")
    branch("<tool_call>", 2.5, tools=3.0, answered=-4.0)
    branch("That", 2.5, image=2.0)


def preprocessors(out: Path) -> None:
    """Qwen's image and video preprocessing, for small pictures."""
    common = {
        "processor_class": "Qwen3VLProcessor",
        "patch_size": 16,
        "temporal_patch_size": 2,
        "merge_size": 2,
        "size": {"shortest_edge": 1024, "longest_edge": 262_144},
        "image_mean": [0.5] * 3,
        "image_std": [0.5] * 3,
    }
    image = {"image_processor_type": "Qwen2VLImageProcessorFast", **common}
    video = {"video_processor_type": "Qwen3VLVideoProcessor", **common}
    (out / "preprocessor_config.json").write_text(json.dumps(image, indent=1))
    (out / "video_preprocessor_config.json").write_text(json.dumps(video, indent=1))


def amend(path: Path, changes: dict[str, dict[str, Any]]) -> None:
    """Add to a JSON file what its writer leaves out; the key "" is the file itself."""
    held = json.loads(path.read_text())
    for section, more in changes.items():
        (held[section] if section else held).update(more)
    path.write_text(json.dumps(held, indent=1))


@torch.no_grad()
def make(kind: str, out: Path) -> int:
    """Write the checkpoint; return how many parameters it has."""
    tokens = tokenizer()
    ids: dict[str, int] = tokens.get_vocab()
    for word in WORDS:
        (ids[word],) = tokens.encode(word, add_special_tokens=False)
    torch.manual_seed(0)
    model = (Dense if kind == "dense" else Moe)(config(kind, ids)).to(torch.bfloat16).eval()
    silence(model)
    watch(model.model.language_model.layers[3].self_attn, ids)
    model.get_input_embeddings().weight.copy_(torch.eye(HIDDEN))
    write_table(model.get_output_embeddings().weight, ids)
    out.mkdir(parents=True, exist_ok=True)
    model.save_pretrained(out)
    tokens.save_pretrained(out)
    preprocessors(out)
    amend(out / "tokenizer_config.json", {"": {"processor_class": "Qwen3VLProcessor"}})
    # SGLang reads these four, which transformers does not write.
    amend(
        out / "config.json",
        {
            "text_config": {
                "full_attention_interval": 4,
                "attn_output_gate": True,
                "mamba_ssm_dtype": "float32",
            },
            "vision_config": {"deepstack_visual_indexes": []},
        },
    )
    return sum(p.numel() for p in model.parameters())


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("kind", choices=["dense", "moe"])
    parser.add_argument("folder", type=Path)
    arguments = parser.parse_args()
    count = make(arguments.kind, arguments.folder)
    print(f"{arguments.folder}: a toy Qwen3.5 ({arguments.kind}), {count:,} parameters")
