"""How long a step takes on a profile: a roofline, and five constants fitted to published runs.

A step of the server reads weights, KV cache and GDN state from memory, computes, and exchanges
activations between ranks:

    time = floor × layers  +  max(weight bytes / bandwidth, FLOPs / peak)
                           +  cache bytes / bandwidth  +  all-reduce bytes / link

Between nodes the network is the link, and its latency is added to the floor.

A mixture of experts reads only the experts that the step's tokens choose. With t tokens, each
choosing k of E experts, E·(1 − (1 − k/E)^t) of them are touched in a layer: for Qwen3.5-397B
(10 of 512) a step of 4 tokens touches 39, one of 192 tokens 500.

The constants are in `data/speed.toml`, with what they were fitted to. They know one model on two
machines; everything else is the same formula with other shapes, and says that it is extrapolated.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

from kit.hardware import SGLANG, Profile
from kit.provenance import Provenance, simulated
from kit.speed.constants import Constants, machine
from kit.speed.roofline import Shape, VisionShape


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

    def vision_s(self, image_tokens: int, images: int = 1) -> float:
        """Time of the vision tower over `images` images, `image_tokens` in all.

        A patch attends to those of its own image. By roofline alone: what the host does to an
        image before (decoding, resizing) and launches are not in it, so it is a lower bound.
        Raises ValueError when the model has no vision tower.
        """
        if self.profile.model.vision is None:
            raise ValueError(f"{self.profile.model.name} has no vision tower")
        return self._vision.seconds(image_tokens, images)

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
        p, origin = self.profile, self.constants.origin
        if origin is None:
            return simulated(f"{p.name}, roofline with constants chosen by hand")
        if machine(p) in origin.machines:
            return simulated(f"{p.name}, roofline with constants fitted to {origin}")
        known = ", ".join(origin.machines)
        return simulated(f"extrapolated: {p.name}, constants fitted to {known} in {origin}")

    def _forward_s(self, requests: int, tokens: int, kv_tokens: int) -> float:
        s = self._shape
        flops = tokens * s.flops_per_token + s.attention_flops * kv_tokens * tokens / requests
        return (
            s.decode_floor_s
            + max(s.weights_s(tokens), flops * s.s_per_flop)
            + kv_tokens * s.kv_s_per_token
            + (requests + tokens) * s.state_s  # one state read per request, one written a token
            + tokens * s.exchange_s_per_token
        )

    def _draft_s(self, tokens: int, requests: int, kv_tokens: int) -> float:
        """One pass of the MTP layer, without its floor; 0 without MTP."""
        if self.profile.mtp is None:
            return 0.0
        s = self._shape
        return s.draft_weights_s(tokens) + kv_tokens * s.draft_kv_s_per_token

    @functools.cached_property
    def _shape(self) -> Shape:
        return Shape.of(self.profile, self.constants)

    @functools.cached_property
    def _vision(self) -> VisionShape:
        return VisionShape.of(self.profile, self.constants)
