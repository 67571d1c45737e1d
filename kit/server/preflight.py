"""What can be seen to fail before a server is started, and costs an hour when it is not.

SGLang binds its HTTP port last: a taken port is found after all weights are loaded.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from kit.errors import KitError, LaunchError
from kit.http import served_model
from kit.server.command import ServerCommand, is_local
from kit.server.processes import port_taken, run

DRIVER_S = 20  # eight GPUs without persistence mode take some ten


@dataclass(frozen=True)
class Check:
    """One check: what was found, and what to do where it fails."""

    name: str
    ok: bool
    found: str
    hint: str = ""

    def __str__(self) -> str:
        return f"{'✓' if self.ok else '✗'} {self.name}: {self.found}"


@dataclass(frozen=True)
class Driver:
    """The NVIDIA driver and its GPUs, as nvidia-smi lists them."""

    version: str
    gpus: tuple[str, ...]

    def __str__(self) -> str:
        names = sorted(set(self.gpus))
        return f"{len(self.gpus)}× {' and '.join(names)}, driver {self.version}"


def preflight(command: ServerCommand) -> tuple[Check, ...]:
    """Everything that is checked before a start, the cheapest first."""
    checks: list[Callable[[ServerCommand], Check | None]] = [_program, _port, _gpus, _weights]
    return tuple(check for each in checks if (check := each(command)))


def insist(checks: tuple[Check, ...]) -> None:
    """Raise LaunchError for the first that fails."""
    for check in checks:
        if not check.ok:
            raise LaunchError(check.found, check.hint)


def _program(command: ServerCommand) -> Check:
    program = command.argv[0]
    found = shutil.which(program)
    if found:
        return Check("program", True, found)
    hint = {
        "sglang": f'uv pip install "sglang=={command.sglang}" on the GPU machine; '
        "without a GPU: kit serve cpu-pocket",
        "docker": "install docker and the NVIDIA container toolkit, or leave --docker out",
    }.get(program, "see the course's set-up")
    return Check("program", False, f"{program} is not installed here", hint)


def _port(command: ServerCommand) -> Check:
    if not port_taken(command.host, command.port):
        return Check("port", True, f"{command.port} is free")
    model = served_model(command.url)
    if model:
        found = f"port {command.port} is taken: a server there offers {model}"
        hint = f'kit.server.adopt("{command.url}") takes it over; kit stop ends one of ours'
    else:
        found = f"port {command.port} is taken by another program"
        hint = "choose another with --port, or see who it is: ss -ltnp"
    return Check("port", False, found, hint)


@cache
def driver() -> Driver | None:
    """What nvidia-smi says; None where there is no NVIDIA driver. Raises LaunchError where it
    hangs: no server would start."""
    if not shutil.which("nvidia-smi"):
        return None
    query = ["nvidia-smi", "--query-gpu=driver_version,name", "--format=csv,noheader"]
    try:
        answer = run(query, DRIVER_S)
    except KitError as slow:
        raise LaunchError(
            f"nvidia-smi has said nothing for {DRIVER_S} seconds",
            "it must work by itself first: see dmesg, reload the driver, or reboot",
        ) from slow
    rows = [line.split(", ", 1) for line in answer.text.splitlines() if ", " in line]
    return Driver(rows[0][0], tuple(name for _, name in rows)) if rows else None


def _gpus(command: ServerCommand) -> Check | None:
    here = driver()
    if command.gpus == 0 or (here is None and shutil.which("rocm-smi")):
        return None
    if here is None:
        return Check(
            "GPUs", False, f"{command.title} wants {command.gpus} GPUs; no GPU driver is here",
            "where GPUs are: kit command prints what to type; on this CPU: kit serve cpu-pocket",
        )  # fmt: skip
    if len(here.gpus) < command.gpus:
        return Check(
            "GPUs", False, f"{command.title} wants {command.gpus} GPUs on this node; here: {here}",
            "kit profiles lists profiles for fewer; kit size shows what fits",
        )  # fmt: skip
    return Check("GPUs", True, str(here))


def _weights(command: ServerCommand) -> Check | None:
    if "dummy" in command.argv:  # --load-format: SGLang makes them up
        return None
    if is_local(command.checkpoint):
        return _folder(Path(command.checkpoint).expanduser(), command.checkpoint)
    held_gb = cached_gb(command.checkpoint)
    missing_gb = max(command.weights_gb - held_gb, 0.0)
    if missing_gb < 0.02 * command.weights_gb:
        return Check("weights", True, f"{command.checkpoint}: {held_gb:,.0f} GB on disk")
    if os.environ.get("HF_HUB_OFFLINE", "0") not in ("", "0"):
        return Check(
            "weights", False, f"{command.checkpoint} is not on disk and HF_HUB_OFFLINE is set",
            "unset HF_HUB_OFFLINE to download it, or give the folder that holds it",
        )  # fmt: skip
    room = _first_that_exists(hub_cache())
    free_gb = shutil.disk_usage(room).free / 1e9
    found = f"{command.checkpoint}: {missing_gb:,.0f} GB to download, {free_gb:,.0f} GB free"
    hint = f"set HF_HOME to a disk with {missing_gb * 1.05:,.0f} GB free; it is {hub_cache()} now"
    return Check("weights", free_gb > 1.02 * missing_gb, found, hint)


def _folder(folder: Path, shown: str) -> Check:
    if not (folder / "config.json").is_file():
        return Check(
            "weights", False, f"{shown} is no checkpoint: there is no config.json in it",
            "give the folder that holds config.json, or a name like Qwen/Qwen3.5-27B",
        )  # fmt: skip
    index = folder / "model.safetensors.index.json"
    if index.is_file():
        wanted = set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values())
        missing = sorted(name for name in wanted if not (folder / name).exists())
        if missing:
            return Check(
                "weights", False, f"{shown} lacks {len(missing)} of {len(wanted)} weight files",
                f"download them again: {missing[0]} is the first",
            )  # fmt: skip
    elif not _present(folder):
        return Check(
            "weights", False, f"{shown} holds no weights: no .safetensors file",
            "download the checkpoint whole; a clone without Git LFS has pointers only",
        )  # fmt: skip
    size = sum(f.stat().st_size for f in _present(folder))
    return Check("weights", True, f"{shown}: {size / 1e9:,.3g} GB on disk")


def _present(folder: Path) -> list[Path]:
    """Weight files that are there; a link into an emptied cache is not."""
    return [file for file in folder.glob("*.safetensors") if file.exists()]


def hub_cache() -> Path:
    """Where Hugging Face's tools keep checkpoints."""
    home = os.environ.get("HF_HOME") or "~/.cache/huggingface"
    return Path(os.environ.get("HF_HUB_CACHE") or Path(home) / "hub").expanduser()


def cached_gb(repo: str) -> float:
    """How much of a checkpoint the cache holds, decimal; unfinished files count."""
    blobs = hub_cache() / f"models--{repo.replace('/', '--')}" / "blobs"
    return sum(f.stat().st_size for f in blobs.glob("*") if f.is_file()) / 1e9


def _first_that_exists(path: Path) -> Path:
    return next(p for p in (path, *path.parents) if p.exists())
