"""GPUs, and profiles: a model, at a precision, on so many GPUs, with serving options."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

from kit.errors import UnknownName
from kit.models import ModelSpec, model

SGLANG = "0.5.23"  # the SGLang version whose behaviour is the default everywhere
GPUS_A_NODE = 8


@dataclass(frozen=True)
class Gpu:
    """One accelerator. `flops` are dense TFLOP/s by dtype, `link_gb_s` is one direction."""

    key: str
    name: str
    memory_gib: float
    bandwidth_gb_s: float
    flops: dict[str, float]
    link_gb_s: float
    compute_capability: str
    source: str

    def __hash__(self) -> int:
        return hash(self.key)


@dataclass(frozen=True)
class Mtp:
    """Multi-token prediction: a chain of `num_steps` drafts, verified with the last token."""

    num_steps: int = 3
    eagle_topk: int = 1
    num_draft_tokens: int = 4


@dataclass(frozen=True)
class Profile:
    """What is served, on what, and how. `dataclasses.replace` makes variants.

    `None` leaves an option to SGLang's default. `tp_size` is the number of ranks over
    all nodes.
    """

    name: str
    model: ModelSpec
    precision: str
    gpu: Gpu
    tp_size: int
    nodes: int = 1
    ep_size: int = 1
    mtp: Mtp | None = Mtp()
    mem_fraction_static: float | None = None
    context_length: int | None = None
    max_running_requests: int | None = None
    ssm_dtype: str = "float32"
    radix_cache: bool = True
    source: str = "a reader's own"

    @classmethod
    def of(
        cls, model_name: str, precision: str, gpu_name: str, count: int, **options: Any
    ) -> Profile:
        """A profile of one's own: `count` GPUs, eight to a node, one rank a GPU."""
        nodes = -(-count // GPUS_A_NODE)
        return cls(
            name=f"{model_name}-{precision}-{gpu_name}x{count}".lower(),
            model=model(model_name),
            precision=precision,
            gpu=gpu(gpu_name),
            tp_size=count,
            nodes=nodes,
            **{"mem_fraction_static": 0.8, **options},
        )


def _read(file: str) -> dict[str, Any]:
    return tomllib.loads((files("kit") / "data" / file).read_text(encoding="utf-8"))


@cache
def gpus() -> tuple[Gpu, ...]:
    """Every GPU the kit knows."""
    return tuple(Gpu(key=key, **row) for key, row in _read("hardware.toml").items())


def gpu(name: str) -> Gpu:
    """The GPU called `name`. Raises UnknownName."""
    found = {g.key: g for g in gpus()}
    if name.lower() not in found:
        raise UnknownName("GPU", name, found)
    return found[name.lower()]


@cache
def profiles() -> tuple[Profile, ...]:
    """The named profiles."""
    return tuple(_profile(name, row) for name, row in _read("profiles.toml").items())


def _profile(name: str, row: dict[str, Any]) -> Profile:
    return Profile(
        **{
            **row,
            "name": name,
            "model": model(row["model"]),
            "precision": row.get("precision", "bf16"),
            "gpu": gpu(row["gpu"]),
            "mtp": Mtp() if row["mtp"] else None,
        }
    )


def profile(name: str) -> Profile:
    """The profile called `name`. Raises UnknownName."""
    found = {p.name: p for p in profiles()}
    if name.lower() not in found:
        raise UnknownName("profile", name, found)
    return found[name.lower()]
