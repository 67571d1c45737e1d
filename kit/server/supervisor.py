"""Runs a command, and ends it when the process that asked for it is gone, however it went.

`python -m kit.server.supervisor COMMAND…` is started at the head of a process group, with
a pipe as its standard input. When whoever holds the other end goes, by
kill -9 too, the pipe closes and everything in the group is ended.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time

from kit.server.processes import end_group

PATIENCE_S = 5.0


def keep(argv: list[str]) -> int:
    """Run `argv` until it ends, is asked to, or standard input closes; its exit code.

    Nothing of the group but this process is left then.
    """
    child = subprocess.Popen(argv, stdin=subprocess.DEVNULL)
    signal.signal(signal.SIGTERM, lambda number, frame: child.terminate())

    def end_with_parent() -> None:
        while os.read(sys.stdin.fileno(), 4096):
            pass
        child.terminate()
        time.sleep(PATIENCE_S)
        child.kill()

    threading.Thread(target=end_with_parent, daemon=True).start()
    code = child.wait()
    end_group(os.getpgrp(), 0.0, spare=os.getpid())
    return code


if __name__ == "__main__":
    sys.exit(keep(sys.argv[1:]))
