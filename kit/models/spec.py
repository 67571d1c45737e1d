"""A model's shape, read from its `config.json`, and what follows from it.

    >>> model("397b").parameters().total
    403397928944
    >>> model("397b").kv_bytes_per_token(mtp=False)
    30720

Every figure here is computed from the shape; none is measured.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from functools import cache
from pathlib import Path
from typing import Any

from kit import load_data
from kit.errors import InvalidValue, UnknownName
from kit.models.config import read
from kit.models.image_tokens import DELIMITERS, smart_resize
from kit.models.precision import Precision
from kit.models.precision import precision as precision_named
from kit.models.tensors import Shard, Tensor, tensors
from kit.provenance import Provenance, computed

FAMILY = ("397b", "122b", "35b", "27b", "9b", "4b", "2b", "0.8b")
KV_BYTES = {"bf16": 2, "fp8": 1}
STATE_BYTES = {"float32": 4, "bfloat16": 2, "float16": 2}
CONV_BYTES = 2  # the convolution's tail stays bfloat16 whatever the recurrent state is


@dataclass(frozen=True)
class Vision:
    """The vision tower's shape: a ViT and a merger into the text model's hidden size."""

    depth: int
    hidden_size: int
    intermediate_size: int
    num_heads: int
    out_hidden_size: int
    patch_size: int = 16
    spatial_merge_size: int = 2
    temporal_patch_size: int = 2
    in_channels: int = 3
    num_position_embeddings: int = 2304

    def image_tokens(self, width: int, height: int, delimiters: bool = False) -> int:
        """Tokens that an image of `width` × `height` pixels costs: 880 for 1280 × 720.

        `delimiters` adds the two that stand around it. A merged token covers
        `patch_size` × `spatial_merge_size` pixels each way.
        """
        side = self.patch_size * self.spatial_merge_size
        rows, columns = smart_resize(height, width, side)
        return rows // side * (columns // side) + (DELIMITERS if delimiters else 0)


@dataclass(frozen=True)
class Parameters:
    """Parameter counts by part. `router` includes the shared expert's gate, `norms` those
    between layers; norms inside an attention or GDN block count with the block."""

    routed_experts: int
    shared_expert: int
    router: int
    ffn: int
    gdn: int
    attention: int
    embeddings: int
    head: int
    norms: int
    mtp: int
    vision: int
    experts_share: float  # of the routed experts, those that one token visits

    @property
    def text(self) -> int:
        """The language model alone: what the model's name counts."""
        return sum(
            getattr(self, f.name)
            for f in fields(self)
            if f.name not in ("mtp", "vision", "experts_share")
        )

    @property
    def total(self) -> int:
        """Everything in the checkpoint."""
        return self.text + self.mtp + self.vision

    @property
    def active(self) -> int:
        """Parameters of the language model that one token touches, embeddings and head included."""
        return self.text - self.routed_experts + round(self.routed_experts * self.experts_share)


@dataclass(frozen=True)
class ModelSpec:
    """A model's shape, under the names that its `config.json` uses.

    `num_experts` 0 is a dense model; `linear_*` 0 is a model without GDN layers. `stored` is how
    one checkpoint of it stores its weights, where it was read from that checkpoint or its name.
    """

    name: str
    repo: str
    num_hidden_layers: int
    full_attention_interval: int
    hidden_size: int
    vocab_size: int
    num_attention_heads: int
    num_key_value_heads: int
    head_dim: int
    linear_num_key_heads: int
    linear_num_value_heads: int
    linear_key_head_dim: int
    linear_value_head_dim: int
    linear_conv_kernel_dim: int
    intermediate_size: int
    num_experts: int
    num_experts_per_tok: int
    moe_intermediate_size: int
    shared_expert_intermediate_size: int
    tie_word_embeddings: bool
    mtp_num_hidden_layers: int
    max_position_embeddings: int
    vision: Vision | None
    attn_output_gate: bool = True
    mamba_ssm_dtype: str = "float32"
    stored: Precision | None = None

    @classmethod
    def from_config(cls, path: str | Path, name: str | None = None) -> ModelSpec:
        """Read a checkpoint's `config.json` (or the folder that holds it).

        Raises InvalidValue for a file that is not there, is not JSON, describes
        another architecture, or lacks a field.
        """
        found = read(Path(path), name)
        return cls(**{**found, "vision": Vision(**found["vision"]) if found["vision"] else None})

    @property
    def tensors(self) -> tuple[Tensor, ...]:
        """Every kind of weight."""
        return _tensors(self)

    @property
    def title(self) -> str:
        """The model's name as it is published: "Qwen3.5-397B-A17B"."""
        return self.repo.rsplit("/", 1)[-1]

    @property
    def provenance(self) -> Provenance:
        """What every figure here carries: nothing of it is measured."""
        return computed("the tensors that config.json describes")

    @property
    def full_layers(self) -> int:
        """Layers with full attention: the only ones that keep a KV cache."""
        return self.num_hidden_layers // self.full_attention_interval

    @property
    def gdn_layers(self) -> int:
        """Gated DeltaNet layers: each keeps one state per request, whatever its length."""
        return self.num_hidden_layers - self.full_layers

    @property
    def conv_dim(self) -> int:
        """Channels of a GDN layer's convolution: queries, keys and values side by side."""
        keys = self.linear_num_key_heads * self.linear_key_head_dim
        return 2 * keys + self.linear_num_value_heads * self.linear_value_head_dim

    @property
    def total_params(self) -> int:
        return self.parameters().total

    @property
    def active_params(self) -> int:
        return self.parameters().active

    def parameters(self) -> Parameters:
        """Counts by part, from the list of tensors."""
        return _parameters(self)

    def storage(self, precision: str) -> Precision:
        """How its checkpoint of that precision stores the weights. Raises UnknownName."""
        if self.stored is not None and self.stored.key == precision:
            return self.stored
        return precision_named(precision).of(self.name)

    def weights_bytes(self, precision: str = "bf16") -> int:
        """Bytes of the whole checkpoint, MTP head and vision tower included.

        What a precision leaves in BF16 stays so: data/precisions.toml. Raises UnknownName.
        """
        return sum(size for _, size in _tensor_bytes(self, precision))

    def mtp_bytes(self, precision: str = "bf16") -> int:
        """Bytes of the MTP head alone: what `weights_bytes` loses without MTP."""
        return sum(size for tensor, size in _tensor_bytes(self, precision) if tensor.part == "mtp")

    def shared_bytes(self, precision: str = "bf16") -> int:
        """Bytes of embedding and head, which the MTP head takes from the main model."""
        shared = ("model.embed_tokens", "lm_head")
        return sum(size for tensor, size in _tensor_bytes(self, precision) if tensor.name in shared)

    def rank_bytes(self, precision: str, tp_size: int, mtp: bool) -> tuple[int, int]:
        """Bytes of weights on one of `tp_size` ranks: (an even share, what copies add to it).

        Routers, norms, `mtp.fc` and the KV projections beyond one head per rank are
        copied instead of split. Source: the layers of sglang `models/qwen3_5.py`,
        `qwen2_moe.py`, `qwen3_vl.py`, `qwen3_5_mtp.py`.
        """
        even = held = 0.0
        for tensor, size in _tensor_bytes(self, precision):
            if tensor.part == "mtp" and not mtp:
                continue
            even += size / tp_size
            if tensor.shard is Shard.COPY:
                held += size
            elif tensor.shard is Shard.KV_HEADS:
                held += size / min(tp_size, self.num_key_value_heads)
            else:
                held += size / tp_size
        return round(even), round(held - even)

    @property
    def tp_sizes(self) -> tuple[int, ...]:
        """The numbers of ranks that divide every kind of head."""
        heads = [self.num_attention_heads]
        if self.gdn_layers:
            heads += [self.linear_num_key_heads, self.linear_num_value_heads]
        if self.vision is not None:
            heads.append(self.vision.num_heads)
        most = math.gcd(*heads)
        kv = self.num_key_value_heads
        return tuple(
            n for n in range(1, most + 1) if most % n == 0 and (kv % n == 0 or n % kv == 0)
        )

    def kv_bytes_per_token(self, mtp: bool, kv_dtype: str = "bf16") -> int:
        """Bytes of KV cache per token in the whole model, each KV head counted once."""
        return self.kv_bytes_per_token_per_rank(1, mtp, kv_dtype)

    def kv_bytes_per_token_per_rank(self, tp_size: int, mtp: bool, kv_dtype: str = "bf16") -> int:
        """Bytes of KV cache per token on one rank.

        A rank holds at least one KV head, so this stops shrinking at `tp_size` =
        `num_key_value_heads`. Source: sglang `model_executor/pool_configurator.py`.
        """
        layers = self.full_layers + (self.mtp_num_hidden_layers if mtp else 0)
        heads = max(1, self.num_key_value_heads // tp_size)
        return layers * heads * self.head_dim * 2 * KV_BYTES[kv_dtype]

    def state_bytes_per_request(self, ssm_dtype: str | None = None) -> int:
        """Bytes of GDN state per slot in the whole model; 0 without GDN layers.

        Source: sglang `configs/mamba_utils.py`. conv: the last kernel−1 columns, bfloat16;
        recurrent: a key_dim × value_dim matrix per value head, `ssm_dtype`.
        """
        return self.state_bytes_per_rank(1, ssm_dtype)

    def state_bytes_per_rank(self, tp_size: int, ssm_dtype: str | None = None) -> int:
        """Bytes of GDN state per slot on one rank. States shard, unlike KV."""
        dtype = ssm_dtype or self.mamba_ssm_dtype
        if dtype not in STATE_BYTES:
            raise InvalidValue(
                f"no state dtype {dtype!r}", f"one of: {', '.join(sorted(STATE_BYTES))}"
            )
        values = -(-self.linear_num_value_heads // tp_size)
        keys = -(-self.linear_num_key_heads // tp_size)
        size = self.linear_key_head_dim * self.linear_value_head_dim
        channels = 2 * keys * self.linear_key_head_dim + values * self.linear_value_head_dim
        conv = channels * max(self.linear_conv_kernel_dim - 1, 0) * CONV_BYTES
        return self.gdn_layers * (values * size * STATE_BYTES[dtype] + conv)


@cache
def _tensors(spec: ModelSpec) -> tuple[Tensor, ...]:
    return tuple(tensors(spec))


@cache
def _tensor_bytes(spec: ModelSpec, precision: str) -> tuple[tuple[Tensor, int], ...]:
    recipe = spec.storage(precision)
    return tuple((tensor, recipe.bytes_of(tensor)) for tensor in _tensors(spec))


@cache
def _parameters(spec: ModelSpec) -> Parameters:
    counts: dict[str, Any] = {f.name: 0 for f in fields(Parameters)}
    for tensor in _tensors(spec):
        counts[tensor.part] += tensor.count
    share = spec.num_experts_per_tok / spec.num_experts if spec.num_experts else 0.0
    return Parameters(**{**counts, "experts_share": share})


@cache
def model(name: str) -> ModelSpec:
    """The model called `name`: one of the Qwen3.5 family, or "235b" (Qwen3-235B-A22B)."""
    folder = load_data.path("models")
    known = [p.name.removesuffix(".json") for p in folder.iterdir() if p.name.endswith(".json")]
    key = name.lower()
    if key not in known:
        raise UnknownName("model", name, known)
    return ModelSpec.from_config(Path(str(folder / f"{key}.json")), name=key)


def family() -> tuple[ModelSpec, ...]:
    """The eight sizes of Qwen3.5, largest first."""
    return tuple(model(name) for name in FAMILY)
