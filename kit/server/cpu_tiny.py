"""`cpu-tiny`: the released SGLang on this machine's CPU, with a toy Qwen3.5 behind it.

Its HTTP, parsers, log, metrics and errors are SGLang's. Its text is fixed
beforehand and its speed is plain Python's: neither says anything about Qwen3.5.
"""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Literal

from kit.errors import LaunchError
from kit.launch import HTTP_PORT
from kit.server.command import ServerCommand

NAME = "cpu-tiny"
SGLANG_PINNED = "0.5.23"
ROOT = Path(__file__).resolve().parents[2]
HOME = ROOT / "deploy" / "sglang-cpu"
SERVED_MODEL = "cpu-tiny"

Kind = Literal["dense", "moe"]

OPTIONS = {
    "--device": "cpu",
    "--attention-backend": "torch_native",
    "--sampling-backend": "pytorch",
    "--disable-overlap-schedule": None,
    "--context-length": "1024",
    "--mem-fraction-static": "0.5",
    "--max-total-tokens": "8192",
    "--max-running-requests": "8",
    "--max-mamba-cache-size": "64",  # left to itself SGLang takes half of the machine's memory
    "--reasoning-parser": "qwen3",
    "--tool-call-parser": "qwen3_coder",
    "--served-model-name": SERVED_MODEL,
    "--enable-metrics": None,
}


def installed() -> bool:
    """Whether `make sglang-cpu` has been run here."""
    return (ROOT / ".venv-sglang" / ".ready").is_file() and HOME.is_dir()


def command(
    port: int = HTTP_PORT,
    kind: Kind = "dense",
    options: dict[str, str | None] | None = None,
    without: tuple[str, ...] = (),
) -> ServerCommand:
    """The toy's server; `options` differ from OPTIONS and `without` are left out, to break it.

    Makes the checkpoint where there is none yet (6 s, 3 MB). Raises LaunchError
    where SGLang for CPUs is not installed.
    """
    if not installed():
        raise LaunchError(
            "SGLang for CPUs is not installed here",
            "make sglang-cpu (Linux x86-64, a minute, 1.7 GB); the twin needs none of it: kit twin",
        )
    given = {**OPTIONS, "--model-path": str(checkpoint(kind)), **(options or {})}
    given = {flag: value for flag, value in given.items() if flag not in without}
    flags = [word for flag, value in given.items() for word in (flag, value) if word is not None]
    return ServerCommand(
        title=NAME,
        argv=(
            *(str(HOME / "python"), "-m", "sglang.launch_server"),
            *flags,
            *("--host", "127.0.0.1", "--port", str(port)),
        ),
        host="127.0.0.1",
        port=port,
        sglang=SGLANG_PINNED,
        checkpoint=str(given["--model-path"]),
        weights_gb=0.003,
        outlives=False,
        source="a toy on a CPU: its speed and its text say nothing about Qwen3.5",
    )


def checkpoint(kind: Kind = "dense") -> Path:
    """The folder of the toy, made anew when the code that makes it has changed."""
    folder, maker = ROOT / "build" / NAME / kind, HOME / "make_toy.py"
    made = folder / "model.safetensors"
    if not made.is_file() or made.stat().st_mtime < maker.stat().st_mtime:
        done = subprocess.run(
            [str(HOME / "python"), str(maker), kind, str(folder)],
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
