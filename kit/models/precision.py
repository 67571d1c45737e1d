"""Precisions: what each stores in fewer bits, and where it runs."""

from __future__ import annotations

import math
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cache

from kit import load_data
from kit.errors import UnknownName
from kit.models.tensors import Tensor

FULL_BYTES = 2  # what is not quantised is BF16


@dataclass(frozen=True)
class Precision:
    """How a checkpoint stores its weights. The fields are explained in data/precisions.toml."""

    key: str
    title: str
    quantised: tuple[str, ...]
    bits: int
    block: int
    scale_bytes: float
    checkpoint: str
    sizes: tuple[str, ...]
    sm: int
    gfx: int
    cpu: bool
    kv_dtype: str
    source: str

    def quantises(self, tensor: Tensor) -> bool:
        return any(fnmatchcase(tensor.name, pattern) for pattern in self.quantised)

    def bytes_of(self, tensor: Tensor) -> int:
        """Bytes of all copies of `tensor`, scales included."""
        if not self.quantises(tensor):
            return tensor.count * FULL_BYTES
        scales = math.ceil(tensor.count / self.block) * self.scale_bytes
        return math.ceil(tensor.count * self.bits / 8 + scales)


@cache
def precisions() -> dict[str, Precision]:
    """Every precision, by key."""
    return {
        key: Precision(
            key=key,
            **{**row, "quantised": tuple(row["quantised"]), "sizes": tuple(row["sizes"])},
        )
        for key, row in load_data.toml("precisions.toml").items()
    }


def precision(name: str) -> Precision:
    """The precision called `name`. Raises UnknownName."""
    found = precisions()
    if name.lower() not in found:
        raise UnknownName("precision", name, found)
    return found[name.lower()]
