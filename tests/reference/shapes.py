"""The shapes that the kit ships, as configs that transformers and SGLang read."""

from __future__ import annotations

import json
from pathlib import Path

MODELS = Path(__file__).parents[2] / "kit" / "data" / "models"


def shape(name: str) -> dict:
    """The config of the model called `name`, without the field that only the kit reads."""
    config = json.loads((MODELS / f"{name}.json").read_text())
    config.pop("_name_or_path")
    return config


def write_shape(name: str, folder: Path) -> None:
    """A checkpoint's folder of which only the config is there."""
    (folder / "config.json").write_text(json.dumps(shape(name)))
