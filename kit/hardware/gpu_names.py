"""A GPU by the name that people type, or by what it is: memory, bandwidth, and one like it.

>>> gpu("NVIDIA A100-SXM4-40GB").key
'a10040gb'
>>> described(48, 600, like="a10").memory_gib
48
"""

from __future__ import annotations

import math
import re
from dataclasses import replace
from itertools import takewhile

from kit.errors import InvalidValue, UnknownName
from kit.hardware.gpu import CUSTOM, Gpu, gpus

OPTIONS = "--like NAME --gpu-memory-gib N --bandwidth-gb-s N"
MAKERS = {"nvidia", "geforce", "tesla", "amd", "instinct", "radeon", "intel"}
FORM_WORDS = MAKERS | {
    "hbm2", "hbm2e", "hbm3", "hbm3e", "gddr6", "gddr6x", "gddr7", "sxm", "sxm2", "sxm4", "sxm5",
    "pcie", "ecc", "generation", "blackwell", "workstation", "server", "edition", "gpu", "max", "q",
}  # fmt: skip
AMD_PREFIXES = ("mi", "rx", "gfx", "radeon", "instinct")
MEMORY_SPREAD = 0.12  # what the box says and what the driver shows differ by less
NEAR = 3  # names in a hint


def gpu(name: str) -> Gpu:
    """The accelerator called `name`: "h200", "RTX 4090", "A100 40GB", or as nvidia-smi prints it.

    Raises UnknownName, which names those of the same maker that are nearest in memory.
    """
    for key in _keys(name):
        for card in gpus():
            if {key, f"rtx{key}"} & set(card.names):
                return card
    if (found := _by_memory(name)) is not None:
        return found
    raise UnknownName("GPU", name, [g.key for g in gpus()], hint=_hint(name))


def described(
    memory_gib: float | None = None,
    bandwidth_gb_s: float | None = None,
    like: str | Gpu | None = None,
) -> Gpu:
    """A GPU that is not in the table. What is not given is that of `like`, by default
    NVIDIA's nearest in these figures.

    Raises InvalidValue for figures that cannot be, or none at all; UnknownName for `like`.
    """
    for what, value in (("GPU memory", memory_gib), ("bandwidth", bandwidth_gb_s)):
        if value is not None and not 0 < value < 1e6:
            raise InvalidValue(f"a {what} of {value:g}", "give a positive number")
    if memory_gib is None and (like is None or bandwidth_gb_s is None):
        raise InvalidValue("a GPU without its memory", f"describe it: {OPTIONS}")
    base = gpu(like) if isinstance(like, str) else like
    if base is None:
        base = _nearest(memory_gib or 0.0, bandwidth_gb_s)
    memory = memory_gib if memory_gib is not None else base.memory_gib
    bandwidth = bandwidth_gb_s if bandwidth_gb_s is not None else base.bandwidth_gb_s
    return replace(
        base,
        name=CUSTOM,
        key=CUSTOM,
        aliases=(),
        memory_gib=memory,
        bandwidth_gb_s=bandwidth,
        source=f"described: {memory:g} GiB, {bandwidth:g} GB/s, all else as {base.name}",
    )


def _keys(name: str) -> tuple[str, ...]:
    """The name in small letters and digits: whole, without the maker, without the form."""
    words = re.findall(r"[a-z0-9]+", name.lower())
    kept = ([w for w in words if w not in left] for left in ((), MAKERS, FORM_WORDS))
    return tuple(dict.fromkeys("".join(some) for some in kept if some))


def _memory_gb(name: str) -> float | None:
    """The gigabytes that a name ends on, or holds as a word of its own: 40 of "A100 40GB"."""
    found = re.findall(r"(?<![0-9])([0-9]{2,3}) ?g(?:i?b)?\b", name.lower())
    return float(found[-1]) if found else None


def _by_memory(name: str) -> Gpu | None:
    """ "A100 40GB": of those whose name begins so, the one with that memory."""
    memory = _memory_gb(name)
    if memory is None:
        return None
    first, *rest = [w for w in re.findall(r"[a-z0-9]+", name.lower()) if w not in FORM_WORDS]
    stem = first + "".join(w for w in rest if not re.fullmatch(r"[0-9]{2,3}(g|gb|gib)?", w))
    stem = re.sub(r"[0-9]{2,3}g(i?b)?$", "", stem) or first
    named = (g for g in gpus() if {stem, f"rtx{stem}"} & set(g.names))
    return next((g for g in named if _is_about(g.memory_gib, memory)), None)


def _is_about(memory_gib: float, box_gb: float) -> bool:
    return abs(memory_gib - box_gb) <= MEMORY_SPREAD * box_gb


def _hint(name: str) -> str:
    if not (keys := _keys(name)):
        return f"one of: {', '.join(g.key for g in gpus())}"
    memory = _memory_gb(name)
    found = _of_the_maker(name, keys[-1])
    like = found[0].key
    if memory is not None:
        found.sort(key=lambda g: abs(g.memory_gib - memory))
    near = ", ".join(f"{g.key} ({g.memory_gib:.0f} GiB)" for g in found[:NEAR])
    size = "N" if memory is None else f"{memory:g}"
    return (
        f"nearest by maker and memory: {near}; or describe it: "
        f"--like {like} --gpu-memory-gib {size} --bandwidth-gb-s N"
    )


def _of_the_maker(name: str, key: str) -> list[Gpu]:
    """Those of the same maker: of the same series first, then those whose name begins likest, then
    the nearest number."""
    amd = key.startswith(AMD_PREFIXES) or any(w in name.lower() for w in ("amd", "radeon"))
    letters, number = _series(key)

    def distance(card: Gpu) -> tuple[bool, int, int]:
        series, other = _series(card.key)
        alike = sum(
            1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(key, card.key, strict=False))
        )
        return (series != letters, -alike, abs(other - number))

    return sorted((g for g in gpus() if g.is_amd == amd and not g.is_cpu), key=distance)


def _series(key: str) -> tuple[str, int]:
    """The letters and the number that a name begins with: ("rtx", 4090)."""
    letters, digits = re.fullmatch(r"([a-z]*)([0-9]*).*", key).groups()  # type: ignore[union-attr]
    return letters or "rtx", int(digits or 0)


def _nearest(memory_gib: float, bandwidth_gb_s: float | None) -> Gpu:
    """NVIDIA's GPU with the memory, and the bandwidth where it is given, that is least far off."""

    def distance(card: Gpu) -> float:
        off = abs(math.log(card.memory_gib / memory_gib))
        if bandwidth_gb_s is not None:
            off += abs(math.log(card.bandwidth_gb_s / bandwidth_gb_s))
        return off

    return min((g for g in gpus() if g.is_nvidia), key=distance)
