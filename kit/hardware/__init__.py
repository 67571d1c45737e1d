"""GPUs, and profiles: a model, at a precision, on so many GPUs, with serving options.

gpu        accelerators, each with its source
gpu_names  a GPU by the name that people type, or by its memory and bandwidth
profile    what is served, on what, and how
cookbook   the cookbook's deployment matrix, as rows of fields; how a profile is called
validate   what a profile must satisfy
"""

from kit.hardware.gpu import Gpu, gpus
from kit.hardware.gpu_names import described, gpu
from kit.hardware.profile import SGLANG, Mtp, Profile, cookbook, from_cell, profile, profiles

__all__ = [
    "SGLANG",
    "Gpu",
    "Mtp",
    "Profile",
    "cookbook",
    "described",
    "from_cell",
    "gpu",
    "gpus",
    "profile",
    "profiles",
]
