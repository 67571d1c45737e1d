"""One rank of a launch plan, alone on one GPU: its shapes, its files, its flags.

    >>> one = rehearsal(profile("h200x8"))
    >>> one.rank.model.moe_intermediate_size, one.rank.tp_size
    (128, 1)

Tensor parallelism gives each rank a slice of every matrix. A model of just these slices is what one
GPU of the plan computes; of dummy weights it needs no download, and one GPU instead of eight.
"""

from __future__ import annotations

import copy
from dataclasses import asdict, dataclass, fields, replace
from functools import cached_property
from itertools import islice
from string import ascii_lowercase
from typing import Any

from kit import load_data
from kit.errors import InvalidValue
from kit.hardware import SGLANG, Profile, gpu
from kit.launch.plan import LaunchPlan, launch_plan
from kit.launch.plan_flags import HTTP_PORT
from kit.models import ModelSpec, model
from kit.scheduler import default_accept_length
from kit.sizing import MemoryPlan, plan
from kit.sizing.mem_fraction import default_fraction

TINY = "cpu-tiny"  # small shapes for tests, on the SGLang without a GPU
# flags of several ranks
EXCHANGE = ("tp", "ep", "symm_mem", "allreduce_fusion", "allreduce_fusion_backend", "aiter_fusion")
IDS = {  # special tokens, above the words, and what the config calls them
    "<|endoftext|>": "pad_token_id", "<|im_end|>": "eos_token_id", "<|im_start|>": None,
    "<|vision_start|>": "vision_start_token_id", "<|vision_end|>": "vision_end_token_id",
    "<|image_pad|>": "image_token_id", "<|video_pad|>": "video_token_id",
}  # fmt: skip


@dataclass(frozen=True)
class Rehearsal:
    """`rank` is one rank of `plan` as a deployment of its own.

    `accept_length` is forced, None without MTP. `random_ids` asks for the patch that gives forced
    tokens random ids (data/rehearsal/sitecustomize.py). `more_flags` go to the server as they are.
    """

    plan: LaunchPlan
    rank: Profile
    accept_length: float | None
    random_ids: bool
    more_flags: tuple[str, ...]

    @property
    def name(self) -> str:
        return self.plan.profile.name

    @property
    def ranks(self) -> int:
        return self.plan.profile.tp_size

    @property
    def words(self) -> int:
        """Token ids below this are words of the rank's tokenizer."""
        return self.rank.model.vocab_size - len(IDS)

    @cached_property
    def memory(self) -> MemoryPlan:
        """The rank's own memory plan, vision tower whole."""
        return plan(self.rank, self.plan.sglang)

    @property
    def flags(self) -> dict[str, str | None]:
        """The plan's flags without those of several ranks, and what makes it a rehearsal."""
        return {
            "--mem-fraction-static": f"{self.rank.mem_fraction_static:g}",
            **{f.name: f.value for f in self.plan.flags if f.key not in (*EXCHANGE, "model")},
            "--load-format": "dummy",
            "--decode-log-interval": "10",
        }

    @property
    def env(self) -> dict[str, str]:
        """Of the server, beside what the patch needs."""
        forced = {
            "SGLANG_SIMULATE_ACC_LEN": f"{self.accept_length}",
            "SGLANG_SIMULATE_ACC_METHOD": "match-expected",
        }
        return {**self.plan.env, "HF_HUB_OFFLINE": "1", **(forced if self.accept_length else {})}

    def files(self) -> dict[str, Any]:
        """The checkpoint's folder, file by file: all but the weights."""
        about = dict(load_data.toml("rehearsal/checkpoint.toml"))
        quantised = about.pop("quantisation")[self.rank.precision]
        ids = {key: self.words + i for i, key in enumerate(IDS.values()) if key}
        return {
            **about,
            "config.json": _config(self.rank.model, ids, quantised),
            "generation_config.json": {"eos_token_id": ids["eos_token_id"]},
            "tokenizer.json": _tokenizer(self.words),
        }

    @property
    def missing(self) -> tuple[str, ...]:
        """What one rank alone does not show."""
        whole, m, held = self.plan.profile, self.plan.profile.model, self.rank.model
        forced, spread = self.accept_length is not None, held.num_experts != m.num_experts
        said = {
            f"the exchange between {self.ranks} ranks, and waiting for the slowest": self.ranks > 1,
            "the vision tower's slice: here the tower is whole": self.ranks > 1 and m.vision,
            "trained weights: with dummies, text and choice of experts are not real": True,
            f"the other ranks' experts: a token takes {held.num_experts_per_tok} of "
            f"{held.num_experts} here; {m.num_experts_per_tok / whole.ep_size:g} reach a rank on "
            "average": spread,
            f"acceptance per request: a mean of {self.accept_length} is forced, and in a step all "
            "requests accept alike": forced,
            "varied tokens: as released, forced acceptance gives every token the id 100, so that "
            "too few experts are touched (--random-ids mends that)": forced and not self.random_ids,
            "varied tokens: dummy weights may say the same one again and again": not forced,
        }
        return tuple(text for text, holds in said.items() if holds)

    @property
    def notes(self) -> tuple[str, ...]:
        """What differs from the plan's own command."""
        without = [" ".join(f.words) for f in self.plan.flags if f.key in EXCHANGE]
        said = {
            f"left out of the plan's flags: {', '.join(without)}": without,
            f"flags of one's own: {' '.join(self.more_flags)}": self.more_flags,
            f"SGLang's simulated acceptance was changed as it was loaded: random token ids below "
            f"{self.words:,} instead of the id 100 (patch/sitecustomize.py)": self.random_ids,
            "a toy on a CPU; the predictions are for its shapes on a GPU: nothing to compare, "
            "only the machinery is tried": self.name == TINY,
        }
        return tuple(text for text, holds in said.items() if holds)


def rehearsal(
    profile: Profile,
    sglang: str = SGLANG,
    *,
    accept_length: float | None = None,
    random_ids: bool = False,
    more_flags: tuple[str, ...] = (),
    port: int = HTTP_PORT,
) -> Rehearsal:
    """One rank of `profile` under SGLang `sglang`.

    Raises InvalidValue as `launch_plan` does, for a CPU's profile, and for a precision whose dummy
    weights are not known.
    """
    known = load_data.toml("rehearsal/checkpoint.toml")["quantisation"]
    if profile.gpu.is_cpu or profile.precision not in known:
        raise InvalidValue(
            f"{profile.name} cannot be rehearsed",
            f"a GPU's profile in {' or '.join(known)} can; without a GPU: kit serve cpu-pocket",
        )
    whole = launch_plan(profile, sglang, port=port)
    p = whole.profile
    rank = replace(
        p,
        name=f"{p.name}-rank",
        model=rank_model(p),
        tp_size=1,
        ep_size=1,
        nodes=1,
        symm_mem=False,
        mem_fraction_static=p.mem_fraction_static or round(default_fraction(p), 3),
    )
    forced = (accept_length or default_accept_length(p.model)) if p.mtp else None
    return Rehearsal(whole, rank, forced, random_ids and p.mtp is not None, more_flags)


def rank_model(p: Profile) -> ModelSpec:
    """The shapes on one rank of `p`, as a model: `kit.models.tensors` says what is split.

    Layers, the width between them, router and vision tower are whole; a KV head is copied where
    there are fewer than ranks. Under expert parallelism a rank has whole experts, fewer of them.
    """
    m, n = p.model, p.tp_size
    split = (
        "num_attention_heads", "linear_num_key_heads", "linear_num_value_heads", "vocab_size",
        "intermediate_size", "shared_expert_intermediate_size",
    )  # fmt: skip
    return replace(
        m,
        **{name: -(-getattr(m, name) // n) for name in split},
        num_key_value_heads=max(1, m.num_key_value_heads // n),
        moe_intermediate_size=m.moe_intermediate_size // (n // p.ep_size),
        num_experts=m.num_experts // p.ep_size,
        num_experts_per_tok=round(m.num_experts_per_tok / p.ep_size) or min(1, m.num_experts),
    )


def tiny() -> Profile:
    """Two ranks of a toy with experts: what tests try the machinery on, without a GPU."""
    usual = model("35b")
    toy = replace(
        usual, num_hidden_layers=4, hidden_size=128, vocab_size=2048, num_experts=16,
        num_experts_per_tok=4, moe_intermediate_size=64, shared_expert_intermediate_size=64,
        num_attention_heads=4, linear_num_key_heads=4, linear_num_value_heads=8,
        vision=usual.vision and replace(usual.vision, depth=1, out_hidden_size=128),
    )  # fmt: skip
    return Profile(TINY, toy, "bf16", gpu("h200"), tp_size=2, max_running_requests=4)


def _config(m: ModelSpec, ids: dict[str, int], quantised: dict[str, Any]) -> dict[str, Any]:
    config: dict[str, Any] = copy.deepcopy(load_data.json(f"models/{m.name}.json"))
    config.pop("_name_or_path")
    shapes = {field.name: getattr(m, field.name) for field in fields(m)}
    config["text_config"] |= {k: v for k, v in shapes.items() if k in config["text_config"]}
    config["text_config"] |= {k: ids[k] for k in ("eos_token_id", "pad_token_id")}
    config["vision_config"] |= asdict(m.vision) if m.vision else {}
    return config | ids | ({"quantization_config": quantised} if quantised else {})


def _tokenizer(words: int) -> dict[str, Any]:
    """One token per word, a space and letters: each is a shorter one and a letter more.

    Transformers insists on Qwen3.5's own tokenizer class, which keeps no other words whole.
    """
    grown = ["Ġ"]  # a space, in byte-level spelling
    pairs = ((stem, letter) for stem in grown for letter in ascii_lowercase)
    merges = []
    for stem, letter in islice(pairs, words - 1 - len(ascii_lowercase)):
        merges.append((stem, letter))
        grown.append(stem + letter)
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": False}
    flags = dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized"), False)
    vocabulary = {token: i for i, token in enumerate((*grown, *ascii_lowercase))}
    return {
        "version": "1.0",
        "added_tokens": [
            {"id": words + i, "content": token, "special": True, **flags}
            for i, token in enumerate(IDS)
        ],
        "pre_tokenizer": byte_level,
        "decoder": byte_level,
        "model": {"type": "BPE", "vocab": vocabulary, "merges": merges},
    }
