"""The exported folder as one GGUF file, for llama.cpp: the names and layouts of its `qwen35`.

What llama.cpp wants differently: norms hold 1 + weight, A_log becomes -exp(A_log), and the value
heads of a DeltaNet layer lie tiled over the key heads instead of grouped by them.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

_LAYER = {
    "input_layernorm.weight": "attn_norm.weight",
    "post_attention_layernorm.weight": "post_attention_norm.weight",
    "self_attn.q_proj.weight": "attn_q.weight",
    "self_attn.k_proj.weight": "attn_k.weight",
    "self_attn.v_proj.weight": "attn_v.weight",
    "self_attn.o_proj.weight": "attn_output.weight",
    "self_attn.q_norm.weight": "attn_q_norm.weight",
    "self_attn.k_norm.weight": "attn_k_norm.weight",
    "mlp.gate_proj.weight": "ffn_gate.weight",
    "mlp.up_proj.weight": "ffn_up.weight",
    "mlp.down_proj.weight": "ffn_down.weight",
    "linear_attn.in_proj_qkv.weight": "attn_qkv.weight",
    "linear_attn.in_proj_z.weight": "attn_gate.weight",
    "linear_attn.in_proj_b.weight": "ssm_beta.weight",
    "linear_attn.in_proj_a.weight": "ssm_alpha.weight",
    "linear_attn.out_proj.weight": "ssm_out.weight",
    "linear_attn.conv1d.weight": "ssm_conv1d.weight",
    "linear_attn.norm.weight": "ssm_norm.weight",
    "linear_attn.A_log": "ssm_a",
    "linear_attn.dt_bias": "ssm_dt.bias",
}
_MTP = {
    "mtp.fc.weight": "nextn.eh_proj.weight",
    "mtp.pre_fc_norm_embedding.weight": "nextn.enorm.weight",
    "mtp.pre_fc_norm_hidden.weight": "nextn.hnorm.weight",
    "mtp.norm.weight": "nextn.shared_head_norm.weight",
}
_PLUS_ONE = ("norm.weight", "layernorm.weight", "norm_embedding.weight", "norm_hidden.weight")


def write(folder: Path, path: Path) -> None:
    """`folder` holds config.json, tokenizer.json, chat_template.jinja and model.safetensors."""
    import gguf
    from safetensors.torch import load_file

    config = json.loads((folder / "config.json").read_text())["text_config"]
    writer = gguf.GGUFWriter(path, "qwen35")
    _hyperparameters(writer, config)
    _vocabulary(writer, folder, config)
    for name, tensor in load_file(folder / "model.safetensors").items():
        if "visual" not in name and name != "lm_head.weight":
            where, values = _converted(name, tensor.float().numpy(), config)
            half = values.ndim == 2 and "ssm_conv1d" not in where
            writer.add_tensor(where, values.astype(np.float16 if half else np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _hyperparameters(writer: Any, config: dict[str, Any]) -> None:
    heads, width = config["linear_num_value_heads"], config["linear_value_head_dim"]
    if config["linear_key_head_dim"] != width:
        raise ValueError("llama.cpp needs equal key and value dimensions in the DeltaNet layers")
    rope = config["rope_parameters"]
    writer.add_name("pocket-qwen3.5")
    writer.add_file_type(1)  # mostly F16
    writer.add_block_count(config["num_hidden_layers"] + config["mtp_num_hidden_layers"])
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(config["num_attention_heads"])
    writer.add_head_count_kv(config["num_key_value_heads"])
    writer.add_key_length(config["head_dim"])
    writer.add_value_length(config["head_dim"])
    writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
    writer.add_rope_freq_base(float(rope["rope_theta"]))
    writer.add_rope_dimension_count(int(config["head_dim"] * rope["partial_rotary_factor"]))
    writer.add_rope_dimension_sections([*rope["mrope_section"], 0])
    writer.add_ssm_conv_kernel(config["linear_conv_kernel_dim"])
    writer.add_ssm_state_size(config["linear_key_head_dim"])
    writer.add_ssm_group_count(config["linear_num_key_heads"])
    writer.add_ssm_time_step_rank(heads)
    writer.add_ssm_inner_size(width * heads)
    writer.add_uint32("qwen35.full_attention_interval", config["full_attention_interval"])
    writer.add_uint32("qwen35.nextn_predict_layers", config["mtp_num_hidden_layers"])


def _vocabulary(writer: Any, folder: Path, config: dict[str, Any]) -> None:
    import gguf

    table = json.loads((folder / "tokenizer.json").read_text())
    size = config["vocab_size"]
    tokens = [f"[PAD{i}]" for i in range(size)]
    kinds = [gguf.TokenType.UNUSED] * size
    for token, i in table["model"]["vocab"].items():
        tokens[i], kinds[i] = token, gguf.TokenType.NORMAL
    for added in table["added_tokens"]:
        special = added["special"]
        tokens[added["id"]] = added["content"]
        kinds[added["id"]] = gguf.TokenType.CONTROL if special else gguf.TokenType.USER_DEFINED
    merges = table["model"]["merges"]
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("qwen35")
    writer.add_token_list(tokens)
    writer.add_token_types(kinds)
    writer.add_token_merges([m if isinstance(m, str) else " ".join(m) for m in merges])
    writer.add_eos_token_id(config["eos_token_id"])
    writer.add_pad_token_id(config["pad_token_id"])
    writer.add_add_bos_token(False)
    writer.add_chat_template((folder / "chat_template.jinja").read_text())


def _converted(name: str, x: Any, config: dict[str, Any]) -> tuple[str, Any]:
    """llama.cpp's name of a tensor, and its values as llama.cpp lays them out."""
    depth = config["num_hidden_layers"]
    name = name.removeprefix("model.language_model.").replace("mtp.layers.0.", f"layers.{depth}.")
    plus_one = name.endswith(_PLUS_ONE) and not name.endswith("linear_attn.norm.weight")
    values = x + 1 if plus_one else x
    if name == "embed_tokens.weight":
        return "token_embd.weight", values
    if name == "norm.weight":
        return "output_norm.weight", values
    if name in _MTP:
        return f"blk.{depth}.{_MTP[name]}", values
    _, layer, part = name.split(".", 2)
    return f"blk.{layer}.{_LAYER[part]}", _tiled(part, values, config)


def _tiled(part: str, x: Any, config: dict[str, Any]) -> Any:
    """A DeltaNet tensor with its value heads in llama.cpp's order; others as they are."""
    groups, width = config["linear_num_key_heads"], config["linear_value_head_dim"]
    keys = 2 * groups * config["linear_key_head_dim"]

    def tile(values: Any, axis: int, each: int) -> Any:
        shape = values.shape
        each_group = shape[axis] // groups // each
        split = (*shape[:axis], groups, each_group, each, *shape[axis + 1 :])
        return values.reshape(split).swapaxes(axis, axis + 1).reshape(shape)

    match part.removeprefix("linear_attn."):
        case "A_log":
            return tile(-np.exp(x), 0, 1)
        case "dt_bias" | "in_proj_a.weight" | "in_proj_b.weight":
            return tile(x, 0, 1)
        case "in_proj_z.weight":
            return tile(x, 0, width)
        case "out_proj.weight":
            return tile(x, 1, width)
        case "in_proj_qkv.weight":
            return np.concatenate([x[:keys], tile(x[keys:], 0, width)])
        case "conv1d.weight":
            x = x.squeeze(1)
            return np.concatenate([x[:keys], tile(x[keys:], 0, width)])
    return x
