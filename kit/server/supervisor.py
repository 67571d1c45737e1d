"""Runs a command, and ends it when the process that asked for it is gone, however it ended.

`python -m kit.server.supervisor COMMAND…` is the first process of a group, and its standard input
is a pipe. When the process at the other end is gone, by kill -9 too, everything in the group is
ended.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time

from kit.parent import wait_for_its_end
from kit.server.processes import end_group

PATIENCE_S = 5.0


def keep(argv: list[str]) -> int:
    """Run `argv` until it ends, is told to, or standard input closes. Gives its exit code.

    Then no other process of the group is left.
    """
    child = subprocess.Popen(argv, stdin=subprocess.DEVNULL)
    signal.signal(signal.SIGTERM, lambda number, frame: child.terminate())

    def end_with_parent() -> None:
        wait_for_its_end()
        child.terminate()
        time.sleep(PATIENCE_S)
        child.kill()

    threading.Thread(target=end_with_parent, daemon=True).start()
    code = child.wait()
    end_group(os.getpgrp(), 0.0, spare=os.getpid())
    return code


if __name__ == "__main__":
    sys.exit(keep(sys.argv[1:]))
