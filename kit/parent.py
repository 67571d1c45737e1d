"""Noticing that the process which started this one is gone, however it ended."""

from __future__ import annotations

import os
import select

_LOOK_S = 0.5


def wait_for_its_end() -> None:
    """Return when the parent has ended, or has closed its end of this standard input.

    The pipe alone would not do: a process that the parent forked holds its other end as well, and
    keeps it open. So the parent itself is looked for too, where the system says who it is.
    """
    parent = os.getppid()
    while True:
        if os.name == "posix":
            while not select.select([0], [], [], _LOOK_S)[0]:
                if os.getppid() != parent:
                    return
        if not os.read(0, 4096):
            return
