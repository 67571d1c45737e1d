"""Accelerators: memory, bandwidth, FLOP/s, links; each with its source (data/hardware.toml)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from kit import load_data
from kit.errors import UnknownName
from kit.provenance import Provenance, published


@dataclass(frozen=True)
class Gpu:
    """One accelerator; for Xeon one NUMA node, which is one rank.

    `memory_gib` is what the driver shows; `flops` are dense TFLOP/s by dtype;
    `link_gb_s` is one direction, to the GPUs of the same node.
    """

    name: str
    memory_gib: float
    bandwidth_gb_s: float
    flops: dict[str, float]
    link_gb_s: float
    compute_capability: str
    source: str
    key: str
    gpus_per_node: int = 8

    def __hash__(self) -> int:
        return hash(self.key)

    @property
    def is_cpu(self) -> bool:
        return self.compute_capability == "cpu"

    @property
    def is_amd(self) -> bool:
        return self.compute_capability.startswith("gfx")

    @property
    def provenance(self) -> Provenance:
        return published(self.source)


@cache
def gpus() -> tuple[Gpu, ...]:
    """Every accelerator the kit knows, in the order of data/hardware.toml."""
    return tuple(Gpu(key=key, **row) for key, row in load_data.toml("hardware.toml").items())


def gpu(name: str) -> Gpu:
    """The accelerator called `name` ("h200", "RTX 4090"). Raises UnknownName."""
    found = {g.key: g for g in gpus()}
    key = "".join(c for c in name.lower() if c.isalnum())
    if key not in found:
        raise UnknownName("GPU", name, found)
    return found[key]
