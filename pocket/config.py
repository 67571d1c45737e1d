"""The sizes of config.toml."""

from __future__ import annotations

import argparse
import os
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
WORK = Path(os.environ.get("POCKET_WORK", HERE.parent / "build" / "pocket"))


@dataclass(frozen=True)
class Size:
    """One size: the language model's shape and how it is trained."""

    name: str
    model: dict[str, Any]
    training: dict[str, Any]
    shared: dict[str, Any]
    vision: dict[str, Any]
    vocabulary: dict[str, Any]

    @property
    def folder(self) -> Path:
        """Where checkpoints, losses and plots of this size go ($POCKET_WORK or build/pocket)."""
        return WORK / self.name


def size(name: str) -> Size:
    table = tomllib.loads((HERE / "config.toml").read_text())
    both = {key: table[key] for key in ("shared", "vision", "vocabulary")}
    return Size(name, table[name]["model"], table[name]["training"], **both)


def parser(about: str | None) -> argparse.ArgumentParser:
    """A command's arguments, `--size` among them."""
    out = argparse.ArgumentParser(description=about)
    out.add_argument("--size", choices=("small", "full"), default="small")
    return out
