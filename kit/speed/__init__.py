"""How long a step takes on a profile: a roofline, and five constants fitted to published runs."""

from kit.speed.constants import (
    Constants,
    ConstantSource,
)
from kit.speed.step_time import (
    SpeedModel,
)

__all__ = [
    "ConstantSource",
    "Constants",
    "SpeedModel",
]
