"""Accelerators: memory, bandwidth, FLOP/s, links; each with its source (data/hardware.toml)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from kit import load_data
from kit.provenance import Provenance, computed, published

CUSTOM = "custom"  # the key and the name of a GPU that a reader describes


@dataclass(frozen=True)
class Gpu:
    """One accelerator; for Xeon one NUMA node, which is one rank.

    `memory_gib` is what the driver shows; `flops` are dense TFLOP/s by dtype;
    `link_gb_s` is one direction, to the GPUs of the same node. `arch` is what kernels
    are built for: "sm90", "gfx942", "cpu". `suggested` GPUs may be offered in place of
    another; `unified` memory is shared with the machine's CPU.
    """

    name: str
    memory_gib: float
    bandwidth_gb_s: float
    flops: dict[str, float]
    link_gb_s: float
    arch: str
    source: str
    key: str
    gpus_per_node: int = 8
    aliases: tuple[str, ...] = ()
    suggested: bool = True
    unified: bool = False

    def __hash__(self) -> int:
        return hash(self.key)

    @property
    def maker(self) -> str:
        """ "nvidia", "amd" or "cpu"."""
        return "cpu" if self.arch == "cpu" else "amd" if self.arch.startswith("gfx") else "nvidia"

    @property
    def is_cpu(self) -> bool:
        return self.maker == "cpu"

    @property
    def is_amd(self) -> bool:
        return self.maker == "amd"

    @property
    def is_nvidia(self) -> bool:
        return self.maker == "nvidia"

    @property
    def names(self) -> tuple[str, ...]:
        """Its key and what else it is called, in small letters and digits only."""
        return (self.key, *self.aliases)

    @property
    def arch_number(self) -> int:
        """90 for sm90, 942 for gfx942, 0 for a CPU. Compare it within one maker only."""
        return int("".join(c for c in self.arch if c.isdigit()) or 0)

    @property
    def is_sm90(self) -> bool:
        """Hopper. The names are those of SGLang's `srt/utils/common.py`."""
        return self.is_nvidia and self.arch_number // 10 == 9

    @property
    def is_sm100(self) -> bool:
        """Blackwell for data centres (B200, GB200, B300), not the RTX GPUs."""
        return self.is_nvidia and self.arch_number // 10 == 10

    @property
    def compute_capability(self) -> str:
        """As NVIDIA writes it: "9.0"; of other makers the architecture."""
        return f"{self.arch_number / 10:.1f}" if self.is_nvidia else self.arch

    @property
    def provenance(self) -> Provenance:
        return computed(self.source) if self.key == CUSTOM else published(self.source)


@cache
def gpus() -> tuple[Gpu, ...]:
    """Every accelerator the kit knows, in the order of data/hardware.toml."""
    rows = load_data.toml("hardware.toml").items()
    return tuple(
        Gpu(key=key, **{**row, "aliases": tuple(row.get("aliases", ()))}) for key, row in rows
    )
