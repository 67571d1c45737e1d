"""Precisions: what each stores in fewer bits, and where it runs."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from functools import cache
from typing import Any

from kit import load_data
from kit.errors import UnknownName
from kit.models.tensors import Tensor

FILE = "precisions.toml"
FULL_BYTES = 2  # what is not quantised is BF16


@dataclass(frozen=True)
class Part:
    """Tensors that are stored alike; data/precisions.toml explains the fields."""

    tensors: tuple[str, ...]
    bits: int
    block: int
    scale_bytes: float

    def names(self, tensor: Tensor) -> bool:
        return any(fnmatchcase(tensor.name, pattern) for pattern in self.tensors)

    def bytes_of(self, count: int) -> int:
        """Bytes of `count` weights, scales included."""
        return math.ceil(count * self.bits / 8 + math.ceil(count / self.block) * self.scale_bytes)


@dataclass(frozen=True)
class Precision:
    """How a checkpoint stores its weights. The fields are explained in data/precisions.toml.

    `measured` are bytes by tensor name, read in a checkpoint's own files; they win over `parts`.
    `variants` is what differs for single sizes of the family.
    """

    key: str
    title: str
    parts: tuple[Part, ...]
    checkpoint: str
    sizes: tuple[str, ...]
    sm: int
    gfx: int
    cpu: bool
    kv_dtype: str
    source: str
    measured: tuple[tuple[str, int], ...] = ()
    variants: tuple[tuple[str, Precision], ...] = ()

    @property
    def bits(self) -> int:
        """Of the weights that are stored smallest."""
        return min((part.bits for part in self.parts), default=8 * FULL_BYTES)

    @property
    def is_mixed(self) -> bool:
        """Whether several kinds of weight are quantised, each in its own way."""
        return len({part.bits for part in self.parts}) > 1

    def of(self, size: str) -> Precision:
        """This precision as the checkpoint of one size has it."""
        return dict(self.variants).get(size, self)

    def quantises(self, tensor: Tensor) -> bool:
        return any(part.names(tensor) for part in self.parts)

    def bytes_of(self, tensor: Tensor) -> int:
        """Bytes of all copies of `tensor`, scales included."""
        if self.measured:
            return dict(self.measured).get(tensor.name, 0)
        for part in self.parts:
            if part.names(tensor):
                return part.bytes_of(tensor.count)
        return tensor.count * FULL_BYTES


@cache
def precisions() -> dict[str, Precision]:
    """Every precision, by key."""
    return {key: _precision(key, row) for key, row in load_data.toml(FILE).items()}


def _precision(key: str, row: dict[str, Any]) -> Precision:
    fields = {**row, "parts": _parts(row["parts"]), "sizes": tuple(row["sizes"])}
    variants = fields.pop("of", {})
    load_data.known_keys(FILE, variants, row["sizes"])
    found = Precision(key=key, **fields)
    made = {
        size: replace(found, **{**changed, "parts": _parts(changed["parts"])})
        for size, changed in variants.items()
    }
    return replace(found, variants=tuple(made.items()))


def _parts(rows: list[dict[str, Any]]) -> tuple[Part, ...]:
    return tuple(Part(**{**row, "tensors": tuple(row["tensors"])}) for row in rows)


def precision(name: str) -> Precision:
    """The precision called `name`. Raises UnknownName."""
    found = precisions()
    if name.lower() not in found:
        raise UnknownName("precision", name, found)
    return found[name.lower()]
