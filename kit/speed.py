"""How long a step takes on a profile: a roofline, and five constants fitted to published runs.

A step of the server reads weights, KV cache and GDN state from memory, computes, and exchanges
activations between ranks:

    time = floor × layers  +  max(weight bytes / bandwidth, FLOPs / peak)
                           +  cache bytes / bandwidth  +  all-reduce bytes / link

A mixture of experts reads only the experts that the step's tokens choose. With t tokens, each
choosing k of E experts, E·(1 − (1 − k/E)^t) of them are touched in a layer: for Qwen3.5-397B
(10 of 512) a step of 4 tokens touches 39, one of 192 tokens 500.

The constants are in `data/speed.toml`, with what they were fitted to. They know one model on two
machines; everything else is the same formula with other shapes, and says that it is extrapolated.
"""

from __future__ import annotations

import functools
import tomllib
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

from kit.hardware import SGLANG, Profile
from kit.provenance import Provenance, simulated

# Whose peak FLOP/s a precision's matrix products run at; int4 weights are widened to bf16 first.
_DTYPE = {"bf16": "bf16", "fp8": "fp8", "nvfp4": "fp4", "mxfp4": "fp4", "gptq-int4": "bf16"}
_ACTIVATION_BYTES = 2  # bf16 between the layers, at every precision


@dataclass(frozen=True)
class Constants:
    """What a roofline cannot know. One set for all profiles."""

    hbm_efficiency: float
    flop_efficiency: float
    decode_floor_us_per_layer: float
    prefill_floor_us_per_layer: float
    request_overhead_ms: float

    @classmethod
    @functools.cache
    def fitted(cls) -> Constants:
        return cls(**_data()["constants"])


@functools.cache
def _data() -> dict[str, Any]:
    return tomllib.loads((files("kit") / "data" / "speed.toml").read_text())


@dataclass(frozen=True)
class SpeedModel:
    """Step times of one profile, in seconds. `of` builds it."""

    profile: Profile
    sglang: str
    constants: Constants

    @classmethod
    def of(
        cls, profile: Profile, sglang: str = SGLANG, constants: Constants | None = None
    ) -> SpeedModel:
        return cls(profile, sglang, constants or Constants.fitted())

    @property
    def request_overhead_s(self) -> float:
        """From the client's send until the scheduler sees the request."""
        return self.constants.request_overhead_ms / 1e3

    def prefill_s(self, new_tokens: int, requests: int = 1, context_tokens: int = 0) -> float:
        """Time to read `new_tokens` of prompt, of `requests` requests together.

        `context_tokens` stand in the KV cache already (earlier chunks of the same prompts).
        """
        s = self._shape
        attended = context_tokens + new_tokens / (2 * requests)
        flops = new_tokens * (s.flops_per_token + s.attention_flops * attended)
        return (
            s.prefill_floor_s
            + max(s.weights_s(new_tokens), flops * s.s_per_flop)
            + (context_tokens + new_tokens) * s.kv_s_per_token
            + 2 * requests * s.state_s
            + new_tokens * s.exchange_s_per_token
            + self._draft_s(new_tokens, requests, context_tokens)
        )

    def decode_s(self, requests: int, kv_tokens: int) -> float:
        """Time of one decode step: one token for each of `requests`, which hold `kv_tokens`."""
        return self._forward_s(requests, requests, kv_tokens)

    def verify_s(self, requests: int, kv_tokens: int) -> float:
        """Time of one speculative step: the MTP drafts, and the model over draft + bonus tokens.

        Raises ValueError when the profile has no MTP.
        """
        mtp = self.profile.mtp
        if mtp is None:
            raise ValueError(f"profile {self.profile.name} does not speculate")
        s = self._shape
        drafts = mtp.num_steps * (
            s.decode_floor_s / self.profile.model.num_hidden_layers
            + self._draft_s(requests, requests, kv_tokens)
        )
        return drafts + self._forward_s(requests, requests * mtp.num_draft_tokens, kv_tokens)

    def step_s(self, requests: int, kv_tokens: int) -> float:
        """Verify under MTP, decode without: what this profile does between prefills."""
        if self.profile.mtp is None:
            return self.decode_s(requests, kv_tokens)
        return self.verify_s(requests, kv_tokens)

    @property
    def provenance(self) -> Provenance:
        data, p = _data(), self.profile
        machine = f"{p.model.name} {p.precision} {p.gpu.key}x{p.tp_size}"
        runs = ", ".join(data["fitted_to"])
        if machine in data["fitted_machines"]:
            return simulated(f"{p.name}, roofline with constants fitted to {runs}")
        return simulated(f"extrapolated: {p.name}, constants fitted to 397B in {runs}")

    def _forward_s(self, requests: int, tokens: int, kv_tokens: int) -> float:
        s = self._shape
        flops = tokens * s.flops_per_token + s.attention_flops * kv_tokens * tokens / requests
        return (
            s.decode_floor_s
            + max(s.weights_s(tokens), flops * s.s_per_flop)
            + kv_tokens * s.kv_s_per_token
            + (requests + tokens) * s.state_s  # one state read a request, one written a token
            + tokens * s.exchange_s_per_token
        )

    def _draft_s(self, tokens: int, requests: int, kv_tokens: int) -> float:
        """One pass of the MTP layer, without its floor; 0 without MTP."""
        if self.profile.mtp is None:
            return 0.0
        s = self._shape
        return s.draft_weights_s(tokens) + kv_tokens * s.draft_kv_s_per_token

    @functools.cached_property
    def _shape(self) -> _Shape:
        return _Shape.of(self)


@dataclass(frozen=True)
class _Shape:
    """The profile as seconds per thing: worked out once, used at every step."""

    decode_floor_s: float
    prefill_floor_s: float
    dense_weights_s: float
    expert_weights_s: float
    miss: float  # 1 − k/E: the share of experts that one token leaves alone
    draft_dense_s: float
    draft_expert_s: float
    flops_per_token: float
    attention_flops: float  # per query token and attended token
    s_per_flop: float
    kv_s_per_token: float
    draft_kv_s_per_token: float
    state_s: float
    exchange_s_per_token: float

    def weights_s(self, tokens: int) -> float:
        return self.dense_weights_s + self.expert_weights_s * (1 - self.miss**tokens)

    def draft_weights_s(self, tokens: int) -> float:
        return self.draft_dense_s + self.draft_expert_s * (1 - self.miss**tokens)

    @classmethod
    def of(cls, speed: SpeedModel) -> _Shape:
        p, c = speed.profile, speed.constants
        m, tp = p.model, p.tp_size
        parts = m.parameters()
        weight = m.weights_bytes(p.precision) / parts.total
        s_per_byte = 1 / (p.gpu.bandwidth_gb_s * 1e9 * c.hbm_efficiency)  # one rank
        read = weight * s_per_byte / tp  # seconds per weight, each rank reading its share
        peak = p.gpu.flops.get(_DTYPE[p.precision], p.gpu.flops["bf16"]) * 1e12
        layer_experts = parts.routed_experts / m.num_hidden_layers
        head = m.vocab_size * m.hidden_size  # read as lm_head; the embedding is a row look-up
        rows = parts.embeddings if parts.head else 0
        draft = (parts.mtp - layer_experts + head) * read
        kv = m.kv_bytes_per_token_per_rank(tp, mtp=False) * s_per_byte
        draft_kv = (
            m.kv_bytes_per_token_per_rank(tp, mtp=True)
            - m.kv_bytes_per_token_per_rank(tp, mtp=False)
        ) * s_per_byte
        link = p.gpu.link_gb_s * 1e9 * c.hbm_efficiency
        ring = 2 * (tp - 1) / tp * 2 * m.num_hidden_layers  # two all-reduces a layer
        return cls(
            decode_floor_s=m.num_hidden_layers * c.decode_floor_us_per_layer / 1e6,
            prefill_floor_s=m.num_hidden_layers * c.prefill_floor_us_per_layer / 1e6,
            dense_weights_s=(parts.text - parts.routed_experts - rows) * read,
            expert_weights_s=parts.routed_experts * read,
            miss=1 - m.num_experts_per_tok / m.num_experts if m.num_experts else 0.0,
            draft_dense_s=draft,
            draft_expert_s=layer_experts * read,
            flops_per_token=2.0 * (parts.active - rows),
            attention_flops=4.0 * m.full_layers * m.num_attention_heads * m.head_dim,
            s_per_flop=1 / (peak * tp * c.flop_efficiency),
            kv_s_per_token=kv,
            draft_kv_s_per_token=draft_kv,
            state_s=m.state_bytes_per_request(p.ssm_dtype) / tp * s_per_byte,
            exchange_s_per_token=ring * m.hidden_size * _ACTIVATION_BYTES / link if tp > 1 else 0.0,
        )
