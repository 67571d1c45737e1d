"""Several ways to launch one server, each as the flags in which it differs."""

from __future__ import annotations

from collections.abc import Mapping

from kit.hardware import Profile
from kit.launch import launch_plan


def flag_differences(base: Profile, ways: Mapping[str, Profile]) -> str:
    """The flags that each way adds to the command of `base`, one way per line."""
    usual = {flag.words for flag in launch_plan(base).flags}
    lines = []
    for letter, way in ways.items():
        new = [" ".join(f.words) for f in launch_plan(way).flags if f.words not in usual]
        lines.append(f"{letter}: {'  '.join(new)}")
    return "\n".join(lines)
