"""Runs a command, and ends it when the process that asked for it is gone, however it went.

`python -m kit._keeper COMMAND…` is started at the head of a process group, with
a pipe as its standard input. When whoever holds the other end goes, by
kill -9 too, the pipe closes and everything in the group is ended.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading

from kit._processes import end_group

PATIENCE_S = 5.0


def keep(argv: list[str]) -> int:
    """Run `argv` until it ends, is asked to, or standard input closes; its exit code."""
    child = subprocess.Popen(argv, stdin=subprocess.DEVNULL)
    signal.signal(signal.SIGTERM, lambda number, frame: child.terminate())

    def end_with_parent() -> None:
        while os.read(sys.stdin.fileno(), 4096):
            pass
        child.terminate()
        end_group(os.getpgrp(), PATIENCE_S, spare=os.getpid())

    threading.Thread(target=end_with_parent, daemon=True).start()
    return child.wait()


if __name__ == "__main__":
    sys.exit(keep(sys.argv[1:]))
