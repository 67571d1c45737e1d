"""A rehearsal as a server: its folder written, its command made.

The folder holds the checkpoint without weights (`model`), the patch where one is asked for
(`patch`), and later the server's log and what was measured.
"""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

from kit import load_data
from kit.launch.rehearsal import TINY, Rehearsal
from kit.server import cpu
from kit.server.command import ServerCommand
from kit.text_file import write_text

# On a CPU: the one backend that speculates there, and half of the memory is not the toy's.
ON_CPU = {"--attention-backend": "intel_amx", "--mem-fraction-static": "0.5"}


def prepare(one: Rehearsal, folder: Path) -> ServerCommand:
    """Write what the server needs into `folder`; the command that starts it.

    Raises LaunchError for the tiny profile where SGLang for CPUs is not installed.
    """
    model, patch = folder.resolve() / "model", folder.resolve() / "patch"
    for name, content in one.files().items():
        _write(model / name, json.dumps(content))
    env = one.env
    if one.random_ids:
        _write(patch / "sitecustomize.py", load_data.text("rehearsal/sitecustomize.py"))
        path = os.pathsep.join(filter(None, [str(patch), os.environ.get("PYTHONPATH")]))
        env |= {"KIT_RANDOM_IDS_BELOW": str(one.words), "PYTHONPATH": path}
    flags = {"--model-path": str(model), **one.flags}
    title, port = f"{one.name}-rank", one.plan.port
    if one.name == TINY:
        env["KIT_PATCH"] = env.pop("PYTHONPATH", "")
        made = cpu.tiny(port, options={**flags, **ON_CPU}, checkpoint=model)
    else:
        words = (word for flag in flags.items() for word in flag if word is not None)
        argv, host = (*one.plan.launcher, *words), one.plan.host
        made = ServerCommand(title, argv, host, port, one.plan.sglang, str(model), 0.0, gpus=1)
    return replace(
        made,
        title=title,
        argv=(*made.argv, *one.more_flags),
        env=tuple(env.items()),
        outlives=False,
    )


def _write(file: Path, text: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    write_text(file, text)
