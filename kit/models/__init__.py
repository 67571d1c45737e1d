"""A model's shape, read from its `config.json`, and what follows from it."""

from kit.models.checkpoints import Checkpoint, checkpoint
from kit.models.spec import KV_BYTES, STATE_BYTES, ModelSpec, family, model

__all__ = ["KV_BYTES", "STATE_BYTES", "Checkpoint", "ModelSpec", "checkpoint", "family", "model"]
