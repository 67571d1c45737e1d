"""`cpu-tiny`: the released SGLang on this machine's CPU, with a toy Qwen3.5 behind it.

Its text is fixed beforehand: it says nothing about Qwen3.5, and always the same, which is what
tests want. `kit.server.cpu_pocket` has a model that answers.
"""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Literal

from kit.errors import LaunchError
from kit.launch import HTTP_PORT
from kit.server import on_cpu
from kit.server.command import ServerCommand
from kit.server.on_cpu import HOME, ROOT, Options

NAME = "cpu-tiny"
SERVED_MODEL = "cpu-tiny"

Kind = Literal["dense", "moe"]

OPTIONS: Options = {
    "--context-length": "1024",
    "--max-total-tokens": "8192",
    "--served-model-name": SERVED_MODEL,
}


def command(
    port: int = HTTP_PORT,
    kind: Kind = "dense",
    options: Options | None = None,
    without: tuple[str, ...] = (),
) -> ServerCommand:
    """The toy's server; `options` differ from the usual ones and `without` are left out, to break
    it.

    Makes the checkpoint where there is none yet (6 s, 3 MB). Raises LaunchError
    where SGLang for CPUs is not installed.
    """
    on_cpu.insist_on_sglang()
    return on_cpu.command(
        NAME,
        port,
        {**OPTIONS, "--model-path": str(checkpoint(kind)), **(options or {})},
        without=without,
        weights_gb=0.003,
        source="a toy on a CPU: its speed and its text say nothing about Qwen3.5",
    )


def checkpoint(kind: Kind = "dense") -> Path:
    """The folder of the toy, made anew when the code that makes it has changed."""
    folder, maker = ROOT / "build" / NAME / kind, HOME / "make_toy.py"
    made = folder / "model.safetensors"
    if not made.is_file() or made.stat().st_mtime < maker.stat().st_mtime:
        done = subprocess.run(
            [str(on_cpu.PYTHON), str(maker), kind, str(folder)],
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            last = (done.stderr.strip().splitlines() or ["no message"])[-1]
            raise LaunchError(
                f"the toy could not be made: {last}", "rm -r .venv-sglang and make sglang-cpu"
            )
    return folder
