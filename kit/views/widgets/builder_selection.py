"""What is selected in the command builder: its profile, its launch plan, and whether it runs."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

from kit.errors import KitError
from kit.hardware import SGLANG, Gpu, Mtp, Profile, from_cell, gpu
from kit.hardware.cookbook import cells
from kit.hardware.validate import obstacle
from kit.launch import LaunchOptions, LaunchPlan, launch_plan
from kit.models import ModelSpec
from kit.sizing import plan
from kit.views.figures.plan_text import verdict

COUNTS = (1, 2, 3, 4, 6, 8, 16)


@dataclass(frozen=True)
class Selection:
    """What is to be started; the names are those of the kit's own tables."""

    model: str = "397b"
    precision: str = "bf16"
    gpu: str = "h200"
    count: int = 8
    mtp: bool = True
    nodes: int = 1
    reasoning: bool = True
    tools: bool = True
    cuda_ipc: bool = False
    large_media: bool = False
    context: int = 0
    metrics: bool = False
    sglang: str = SGLANG
    form: str = "shell"

    @classmethod
    def of(cls, p: Profile, sglang: str = SGLANG) -> Selection:
        """The selection that gives this profile."""
        return cls(
            model=p.model.name,
            precision=p.precision,
            gpu=p.gpu.key,
            count=p.tp_size,
            mtp=p.mtp is not None,
            nodes=p.nodes,
            cuda_ipc=p.mm_feature_transport == "cuda_ipc",
            context=p.context_length or 0,
            sglang=sglang,
        )

    @property
    def key(self) -> tuple[str, str, str, int, bool]:
        """What chooses a profile."""
        return self.model, self.precision, self.gpu, self.count, self.mtp


@lru_cache(maxsize=4096)
def refusal(spec: ModelSpec, precision_name: str, gpu: Gpu) -> str:
    """Why a precision does not run on a GPU at any number of them, memory aside."""
    reasons = []
    for count in COUNTS:
        with suppress(KitError):
            reasons.append(obstacle(Profile.of(spec, precision_name, gpu, count)))
    if not reasons:
        return "runs at no number of ranks"
    return "" if None in reasons else str(reasons[0])


def too_small(selection: Selection) -> str:
    """Why these GPUs do not hold the model; empty where they do."""
    *machine, mtp = selection.key
    return _shortage(*machine, mtp and not gpu(selection.gpu).is_cpu, selection.sglang)


@lru_cache(maxsize=4096)
def _shortage(spec: str, precision_name: str, gpu: str, count: int, mtp: bool, sglang: str) -> str:
    try:
        p = profile_of(Selection(spec, precision_name, gpu, count, mtp), None)
        made = plan(p, sglang)
    except KitError as error:
        return error.what
    return "" if made.fits else verdict(made)


@lru_cache(maxsize=1)
def _recipes() -> dict[tuple[str, str, str, int, bool], Profile]:
    """The cookbook's cells, under both strategies."""
    return {Selection.of(p).key: p for p in map(from_cell, cells())}


@lru_cache(maxsize=4096)
def too_long(selection: Selection, base: Profile | None) -> str:
    """Why its context is more than the KV cache holds; empty where it is not."""
    made = plan(profile_of(selection, base), selection.sglang)
    if made.fits or not selection.context:
        return ""
    return f"room for {made.kv_tokens:,} tokens only"


def profile_of(selection: Selection, base: Profile | None) -> Profile:
    """The profile of a selection: `base` or the cookbook's where it is the same, else a default."""
    key = selection.key
    p = _recipes().get(key)
    if base is not None and key == Selection.of(base).key:
        p = base
    if p is None:
        p = Profile.of(*key[:4], mtp=Mtp() if selection.mtp else None)
    wanted: dict[str, Any] = {
        "nodes": max(selection.nodes, -(-selection.count // p.gpu.gpus_per_node)),
        "context_length": selection.context or None,
        "mm_feature_transport": "cuda_ipc" if selection.cuda_ipc else None,
    }
    return replace(p, **{k: v for k, v in wanted.items() if getattr(p, k) != v})


def launch_of(selection: Selection, base: Profile | None) -> LaunchPlan:
    """The launch plan of a selection; its form is left out, which changes no flag."""
    return _launched(replace(selection, form=""), base)


@lru_cache(maxsize=512)
def _launched(selection: Selection, base: Profile | None) -> LaunchPlan:
    options = LaunchOptions(
        reasoning_parser="qwen3" if selection.reasoning else None,
        tool_call_parser="qwen3_coder" if selection.tools else None,
        large_media=selection.large_media,
        metrics=selection.metrics,
    )
    return launch_plan(profile_of(selection, base), selection.sglang, options)
