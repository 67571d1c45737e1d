"""The fitted constants: what a roofline cannot know, and what it was learnt from.

Files of constants have the form of `data/speed.toml`; `kit fit` writes others of that form.
"""

from __future__ import annotations

import functools
import json
import tomllib
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from kit import load_data
from kit.errors import InvalidValue
from kit.hardware import SGLANG, Profile
from kit.sizing.accounting import parse
from kit.text_file import read_text, write_text

_ABOUT = """\
# Constants of the speed model. Take them with: kit predict PROFILE --constants {name}
"""


@dataclass(frozen=True)
class ConstantSource:
    """What constants were fitted to: runs or files, of which version, on which machines."""

    fitted_to: tuple[str, ...]
    version: str
    machines: tuple[str, ...]

    def __str__(self) -> str:
        return f"{', '.join(self.fitted_to)} ({self.version})"


@dataclass(frozen=True)
class Constants:
    """What a roofline cannot know. One set for all profiles; `origin` None is set by hand.

    `data/speed.toml` says what each is. Those with a default are left out of the model by it.
    """

    bandwidth_efficiency: float
    flop_efficiency: float
    decode_floor_us_per_layer: float
    prefill_floor_us_per_layer: float
    request_overhead_ms: float
    quantised_flops: float = 1.0
    grouped_flops: float = 1.0
    expert_correlation: float = 1.0
    moe_floor_us_per_layer: float = 0.0
    quantised_floor_us_per_layer: float = 0.0
    draft_floor_us: float = 0.0
    request_floor_us: float = 0.0
    scan_ns_per_head: float = 0.0
    activation_passes: float = 0.0
    origin: ConstantSource | None = field(default=None, compare=False)

    @classmethod
    @functools.cache
    def fitted(cls, sglang: str = SGLANG) -> Constants:
        """Those of the kit for a version of SGLang: of its era, or between two eras."""
        newest, data = cls._of(table(), "data/speed.toml"), table()
        for era in reversed(data["era"]):
            older = replace(newest, **era["constants"]).learnt(_source(era))
            share = _between(era["sglang"], sglang, data["sglang"])
            if share <= 0:
                return older
            if share < 1:
                return _mixed(older, newest, share, f"{era['sglang']} and {data['sglang']}")
        return newest

    @classmethod
    def read(cls, path: str | Path) -> Constants:
        """Those of a file that `kit fit` wrote.

        Raises KitError where it cannot be read, InvalidValue where it is no such file.
        """
        path = Path(path)
        try:
            text = read_text(path, "kit fit RUN.jsonl --out FILE writes one")
            return cls._of(tomllib.loads(text), path.name)
        except tomllib.TOMLDecodeError as error:
            raise InvalidValue(
                f"{path} is not TOML: {error}", "kit fit writes such files"
            ) from error

    @classmethod
    def _of(cls, data: dict[str, Any], name: str) -> Constants:
        given = data.get("constants")
        if not isinstance(given, dict):
            raise InvalidValue(
                f"{name} has no table [constants]", "kit fit RUN.jsonl --out FILE writes one"
            )
        if odd := sorted(set(given) ^ set(NAMES)):
            raise InvalidValue(
                f"{name}: missing, or not known: {', '.join(odd)}",
                "kit fit RUN.jsonl --out FILE writes one with all constants",
            )
        if not all(isinstance(v, int | float) and v > 0 for v in given.values()):
            raise InvalidValue(f"{name}: constants are numbers above 0", "correct them by hand")
        origin = _source(data)
        return cls(**given, origin=origin if origin.fitted_to else None)

    def changed(self, **values: float) -> Constants:
        """With other values: set by hand from here on."""
        return replace(self, **values, origin=None)

    def learnt(self, origin: ConstantSource) -> Constants:
        """The same, with what they were fitted to."""
        return replace(self, origin=origin)

    def values(self) -> dict[str, float]:
        """The numbers by name."""
        return {name: getattr(self, name) for name in NAMES}

    def write(self, path: str | Path) -> None:
        """As a file that `read` takes. Raises KitError where it cannot be written."""
        lines = [_ABOUT.format(name=Path(path).name)]
        if self.origin is not None:
            lines += [
                f"fitted_to = {_strings(self.origin.fitted_to)}",
                f"fitted_version = {_strings((self.origin.version,))[1:-1]}",
                f"fitted_machines = {_strings(self.origin.machines)}\n",
            ]
        lines += ["[constants]", *(f"{name} = {value:g}" for name, value in self.values().items())]
        write_text(Path(path), "\n".join(lines) + "\n")


def _source(data: dict[str, Any]) -> ConstantSource:
    return ConstantSource(
        tuple(data.get("fitted_to", ())),
        data.get("fitted_version", "of an unknown version"),
        tuple(data.get("fitted_machines", ())),
    )


def _between(first: str, version: str, last: str) -> float:
    """How far `version` lies from `first` (0) to `last` (1), by releases."""
    start, at, end = (parse(v) for v in (first, version, last))
    if at <= start or at >= end:
        return 0.0 if at <= start else 1.0
    return (at[-1] - start[-1]) / (end[-1] - start[-1])


def _mixed(older: Constants, newer: Constants, share: float, versions: str) -> Constants:
    """Constants between two eras, evenly by their logarithms."""
    values = {
        name: value * (newer.values()[name] / value) ** share if value else 0.0
        for name, value in older.values().items()
    }
    both = [c.origin for c in (older, newer) if c.origin is not None]
    origin = ConstantSource(
        tuple(name for source in both for name in source.fitted_to),
        f"interpolated between SGLang {versions}",
        tuple(dict.fromkeys(name for source in both for name in source.machines)),
    )
    return Constants(**values, origin=origin)


NAMES = tuple(f.name for f in fields(Constants) if f.name != "origin")


def machine(p: Profile) -> str:
    """A machine as constants know it: "397b bf16 h200x8"."""
    return f"{p.model.name} {p.precision} {p.gpu.key}x{p.tp_size}"


@functools.cache
def table() -> dict[str, Any]:
    """`data/speed.toml`, its keys checked."""
    data = load_data.toml("speed.toml")
    source = ("sglang", "fitted_to", "fitted_version", "fitted_machines", "constants")
    network = ("network_gb_s", "network_hop_us")
    load_data.known_keys("speed.toml", data, (*source, *network, "era"))
    for era in data["era"]:
        load_data.known_keys("speed.toml", era, source)
    return data


def _strings(values: tuple[str, ...]) -> str:
    return json.dumps(list(values), ensure_ascii=False)  # a TOML array of strings is JSON's
