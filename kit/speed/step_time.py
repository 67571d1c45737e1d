"""How long a step takes on a profile: a roofline, and constants fitted to published cells.

A step of the server reads weights, KV cache and GDN state from memory, computes, and exchanges
activations between ranks. Decoding and verifying run as CUDA graphs, kernel after kernel:

    decode = floors (a layer, its experts, its quantised products; a request)
           + max(weight bytes / bandwidth, FLOPs / peak)    of dense weights, and of experts
           + cache bytes / bandwidth  +  all-reduce bytes / link
    verify = decode of all drafts + 1 tokens, a draft pass over them, and one over a token each
             for every further draft

A prefill has no graph: the host launches its kernels one by one while the GPU computes, so it
takes the longer of the two. Only the last token of a prompt goes through the head:

    prefill = max(launches, products + attention + activations + scans + all-reduces)

Between nodes the network is the link, and its latency is added to the floors.

A mixture of experts reads only the experts that the step's tokens choose. With t tokens, each
choosing k of E experts independently, E·(1 − (1 − k/E)^t) are touched in a layer; tokens of a text
are alike, so t is taken to a power below 1 (`kit/speed/roofline.py` has the reasons).

The constants are in `data/speed.toml`, with what they were fitted to: one set for all models, GPUs
and precisions. Versions of SGLang differ in few of them.
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
        return cls(profile, sglang, constants or Constants.fitted(sglang))

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
        touched = s.experts.touched(new_tokens)
        computing_s = (
            s.body.seconds(new_tokens, touched)
            + s.head.seconds(requests, 0.0)
            + new_tokens * (s.attention_s * attended + s.activations_s + s.exchange_s_per_token)
            + (context_tokens + new_tokens) * s.kv_s_per_token
            + 2 * requests * s.state_s
        )
        if self.profile.mtp is not None:
            computing_s += s.draft.seconds(new_tokens, touched) + s.head.seconds(requests, 0.0)
        return max(s.prefill_floor_s, computing_s)

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
        verified = requests * mtp.num_draft_tokens
        return (
            self._forward_s(requests, verified, kv_tokens)
            + self._draft_s(requests, verified, kv_tokens)
            + (mtp.num_steps - 1) * self._draft_s(requests, requests, kv_tokens)
        )

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
        if len(origin.machines) > 3:
            known = f"{len(origin.machines)} other machines"
        return simulated(f"extrapolated: {p.name}, constants fitted to {known} in {origin}")

    def _forward_s(self, requests: int, tokens: int, kv_tokens: int) -> float:
        s = self._shape
        return (
            s.decode_floor_s
            + requests * s.request_floor_s
            + s.body.seconds(tokens, s.experts.touched(tokens))
            + s.head.seconds(tokens, 0.0)
            + kv_tokens * s.kv_s_per_token
            + (requests + tokens) * s.state_s  # one state read per request, one written a token
            + tokens * s.exchange_s_per_token
        )

    def _draft_s(self, requests: int, tokens: int, kv_tokens: int) -> float:
        """One pass of the MTP layer over `tokens`, and of the head over one of each request."""
        s = self._shape
        return (
            s.draft_floor_s
            + s.draft.seconds(tokens, s.experts.touched(tokens))
            + s.head.seconds(requests, 0.0)
            + kv_tokens * s.draft_kv_s_per_token
        )

    @functools.cached_property
    def _shape(self) -> Shape:
        return Shape.of(self.profile, self.constants)

    @functools.cached_property
    def _vision(self) -> VisionShape:
        return VisionShape.of(self.profile, self.constants)
