"""How long a step takes on a profile: a roofline, constants fitted to published cells, bands."""

from kit.speed.constants import Constants, ConstantSource
from kit.speed.step_time import SpeedModel

__all__ = ["ConstantSource", "Constants", "SpeedModel"]
