"""Profile + SGLang version → LaunchPlan: the command, and a reason for each flag.

A plan is a list of flags, each with its value, why it is there and who says so.
The shell text, the tooltips and the lesson's table are all drawn from it. Names
are written out in full: SGLang takes `--tp` only as an abbreviation.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from kit.errors import InvalidValue
from kit.hardware import SGLANG, Profile
from kit.provenance import Provenance, computed
from kit.sizing import MemoryPlan, plan

COOKBOOK = "SGLang cookbook, Qwen3.5"
SERVER_ARGS = "SGLang {version}, server arguments"
HTTP_PORT = 30000
DIST_PORT = 20000
OLDEST = (0, 5, 9)


@dataclass(frozen=True)
class Flag:
    """One flag of the command. `value` is None for a switch."""

    name: str
    value: str | None
    reason: str
    source: str

    def __post_init__(self) -> None:
        if not self.name.startswith("--"):
            raise ValueError(f"a flag is written out in full: {self.name}")

    @property
    def words(self) -> tuple[str, ...]:
        return (self.name,) if self.value is None else (self.name, self.value)

    def to_json(self) -> dict[str, str | None]:
        return {
            "flag": self.name,
            "value": self.value,
            "reason": self.reason,
            "source": self.source,
        }


@dataclass(frozen=True)
class LaunchPlan:
    """What to type to serve `profile` on SGLang `sglang`; on each node, where there are several.

    `flags` hold for every node; `node_flags(rank)` adds what differs.
    """

    profile: Profile
    sglang: str
    flags: tuple[Flag, ...]
    memory: MemoryPlan
    provenance: Provenance

    @property
    def nodes(self) -> int:
        return self.profile.nodes

    def node_flags(self, rank: int = 0) -> tuple[Flag, ...]:
        """Every flag for the node of this rank; two nodes differ only in `--node-rank`."""
        if self.nodes == 1:
            return self.flags
        return (*self.flags, *_multi_node(self.nodes, rank))

    def argv(self, rank: int = 0) -> list[str]:
        """The command as a list of words, for a process of its own."""
        return ["sglang", "serve", *(w for flag in self.node_flags(rank) for w in flag.words)]

    def shell(self, rank: int = 0) -> str:
        """The command as text to paste, a flag a line."""
        head = "sglang serve"
        lines = [" ".join(shlex.quote(w) for w in flag.words) for flag in self.node_flags(rank)]
        return " \\\n  ".join([head, *lines])

    def to_json(self) -> dict[str, Any]:
        return {
            "profile": self.profile.name,
            "sglang": self.sglang,
            "argv": self.argv(),
            "env": {},
            "flags": [flag.to_json() for flag in self.node_flags()],
            "nodes": [self.argv(rank) for rank in range(self.nodes)],
            "provenance": self.provenance.to_json(),
        }

    def __str__(self) -> str:
        commands = (
            [self.shell()]
            if self.nodes == 1
            else [f"# node {r}\n{self.shell(r)}" for r in range(self.nodes)]
        )
        width = max(len(" ".join(flag.words)) for flag in self.node_flags())
        why = [f"{' '.join(f.words):<{width}}  {f.reason}" for f in self.node_flags()]
        return "\n\n".join([*commands, "\n".join(why), str(self.provenance)])

    def _repr_markdown_(self) -> str:
        rows = "\n".join(
            f"| `{' '.join(f.words)}` | {f.reason} | {f.source} |" for f in self.node_flags()
        )
        table = f"| flag | why | who says so |\n|---|---|---|\n{rows}"
        return f"```bash\n{self.shell()}\n```\n\n{table}\n\n*{self.provenance}*"


def launch_plan(
    profile: Profile, sglang: str = SGLANG, host: str = "127.0.0.1", port: int = HTTP_PORT
) -> LaunchPlan:
    """The command for a profile, flag by flag.

    Raises InvalidValue for a version older than 0.5.9, the first to serve Qwen3.5,
    and for a profile that does not fit its GPUs.
    """
    _check_version(sglang)
    memory = plan(profile, sglang=sglang)
    if not memory.fits:
        raise InvalidValue(
            f"{profile.name} does not fit: {memory.reasons[0]}",
            f"kit size {profile.name} shows the ledger and what would fit",
        )
    flags = (
        *_what(profile),
        *_parsers(),
        *_mtp(profile),
        *_memory(profile, memory),
        *_multimodal(profile, sglang),
        *_door(host, port),
    )
    source = f"kit.launch for {profile.name}, after the {COOKBOOK}, SGLang {sglang}"
    return LaunchPlan(profile, sglang, flags, memory, computed(source))


def version_tuple(sglang: str) -> tuple[int, ...]:
    """ "0.5.12.post1" → (0, 5, 12). Raises InvalidValue."""
    numbers = sglang.split(".post")[0].split(".")
    if not all(n.isdigit() for n in numbers):
        raise InvalidValue(f"{sglang!r} is no SGLang version", f"write it like {SGLANG}")
    return tuple(int(n) for n in numbers)


def _check_version(sglang: str) -> None:
    if version_tuple(sglang) < OLDEST:
        oldest = ".".join(map(str, OLDEST))
        raise InvalidValue(
            f"SGLang {sglang} is older than Qwen3.5",
            f"take {oldest} or newer; {SGLANG} is known best",
        )


def _what(profile: Profile) -> Iterator[Flag]:
    model, gpu = profile.model, profile.gpu
    yield Flag("--model-path", profile.checkpoint, f"{model.repo}, {profile.precision}", COOKBOOK)
    if profile.tp_size > 1:
        weights = model.weights_bytes(profile.precision) / 2**30
        yield Flag(
            "--tp-size",
            str(profile.tp_size),
            f"{weights:,.0f} GiB of weights over {profile.tp_size} ranks: "
            f"{weights / profile.tp_size:,.1f} of the {gpu.memory_gib:,.1f} GiB of each {gpu.name}",
            COOKBOOK,
        )
    if profile.ep_size > 1:
        yield Flag(
            "--ep-size",
            str(profile.ep_size),
            "whole experts on each rank instead of slices of all",
            COOKBOOK,
        )


def _parsers() -> Iterator[Flag]:
    yield Flag(
        "--reasoning-parser", "qwen3", "thinking arrives apart, as reasoning_content", COOKBOOK
    )
    yield Flag(
        "--tool-call-parser",
        "qwen3_coder",
        "tool calls arrive as JSON instead of the XML that the model writes",
        COOKBOOK,
    )


def _mtp(profile: Profile) -> Iterator[Flag]:
    mtp = profile.mtp
    if mtp is None:
        return
    yield Flag(
        "--speculative-algorithm",
        "NEXTN",
        "multi-token prediction: the model's own extra layer drafts, one step verifies",
        COOKBOOK,
    )
    yield Flag(
        "--speculative-num-steps",
        str(mtp.num_steps),
        f"the MTP layer runs {mtp.num_steps} times a step, each on the draft before",
        COOKBOOK,
    )
    yield Flag(
        "--speculative-eagle-topk",
        str(mtp.eagle_topk),
        "one chain of drafts, no tree",
        COOKBOOK,
    )
    yield Flag(
        "--speculative-num-draft-tokens",
        str(mtp.num_draft_tokens),
        f"{mtp.num_draft_tokens} tokens are verified at once: the last real one and its drafts",
        COOKBOOK,
    )


def _memory(profile: Profile, memory: MemoryPlan) -> Iterator[Flag]:
    fraction = profile.mem_fraction_static
    if fraction is not None:
        left = profile.gpu.memory_gib * (1 - fraction)
        yield Flag(
            "--mem-fraction-static",
            f"{fraction:g}",
            f"weights and caches may take {fraction:.0%} of the card; {left:.1f} GiB stay for "
            "activations and CUDA graphs. Out of memory at the start: raise it; later: lower it",
            COOKBOOK,
        )
    if profile.context_length is not None:
        yield Flag(
            "--context-length",
            str(profile.context_length),
            f"shorter than the model's {profile.model.max_position_embeddings:,}",
            COOKBOOK,
        )
    if profile.max_running_requests is not None:
        yield Flag(
            "--max-running-requests",
            str(profile.max_running_requests),
            f"asked for; the plan holds {memory.max_running_requests} at once",
            SERVER_ARGS.format(version=memory.sglang),
        )
    if profile.ssm_dtype != "float32":
        yield Flag(
            "--mamba-ssm-dtype",
            profile.ssm_dtype,
            "halves the state of the GDN layers, so that twice the requests run",
            SERVER_ARGS.format(version=memory.sglang),
        )


def _multimodal(profile: Profile, sglang: str) -> Iterator[Flag]:
    if profile.mm_feature_transport is not None:
        yield Flag(
            "--mm-feature-transport",
            profile.mm_feature_transport,
            "image features go from process to process on the GPU: a better TTFT for 1 GiB of "
            "the first card; it replaces SGLANG_USE_CUDA_IPC_TRANSPORT=1",
            SERVER_ARGS.format(version=sglang),
        )


def _door(host: str, port: int) -> Iterator[Flag]:
    why = (
        "only this machine can call it: there is no API key yet"
        if host == "127.0.0.1"
        else "callable from elsewhere: set --api-key"
    )
    yield Flag("--host", host, why, "kit.launch")
    yield Flag("--port", str(port), "where this course looks first", COOKBOOK)


def _multi_node(nodes: int, rank: int) -> Iterator[Flag]:
    docs = "SGLang documentation, multi-node deployment"
    yield Flag("--nnodes", str(nodes), f"one server over {nodes} machines", docs)
    yield Flag("--node-rank", str(rank), "which of them this is; HTTP is served by rank 0", docs)
    yield Flag(
        "--dist-init-addr",
        f"NODE0_IP:{DIST_PORT}",
        "where the ranks meet: the first machine's address, and a port that is not the HTTP port",
        docs,
    )
