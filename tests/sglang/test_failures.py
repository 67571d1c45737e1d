"""The failures that `kit.server.failures` knows, against the released files and a real server.

For each failure its key line stands in the file that it names; several are
provoked on the toy: SGLang prints what it prints, and the diagnosis is right.
"""

from __future__ import annotations

import errno
import importlib
import importlib.util
import os
import re
import shutil
import socket
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from older_wheels import in_wheel
from parse import parser as made

from kit import server
from kit.errors import LaunchError
from kit.server import cpu
from kit.server.failures import Failure, failures
from kit.server.known_failures import parts
from kit.server.log import Stage, frames, phases
from kit.server.processes import free_port

parser = cache(made)


def text_of(where: str) -> str:
    """What a file of the pinned packages holds, program libraries included."""
    package, _, rest = where.partition("/")
    spec = importlib.util.find_spec(package)
    assert spec is not None, where
    file = Path(next(iter(spec.submodule_search_locations or []))) / rest
    return file.read_bytes().decode("latin-1")


def of_python(where: str) -> str | None:
    """The same of Python's own: a module, or the message of an error number."""
    name, _, code = where.partition(" ")
    if name == "os.strerror":
        return os.strerror(getattr(errno, code))
    if name in {"argparse", "asyncio.base_events", "json.decoder"}:
        return Path(importlib.import_module(name).__file__ or "").read_text()
    return None


def squeezed(text: str) -> str:
    """Without what Python's line joining puts between the parts of a long string."""
    return "".join(text.split()).replace('"f"', "").replace('""', "").replace("''", "")


@pytest.mark.parametrize("failure", [f for f in failures() if f.where], ids=lambda f: f.id)
def test_its_key_line_stands_in_the_released_file(failure: Failure) -> None:
    if older := re.fullmatch(r"sglang (0\.\S+): (\S+)", failure.where):
        text = in_wheel(*older.groups())
    else:
        text = of_python(failure.where) or text_of(failure.where)
    assert failure.key in text or squeezed(failure.key) in squeezed(text)


@pytest.mark.parametrize("failure", [f for f in parts().values() if f.where], ids=lambda f: f.id)
def test_a_part_of_the_server_is_told_by_the_files_it_is_made_of(failure: Failure) -> None:
    """An error in the file that it names is taken for one of that part, before any other."""
    frame = f'  File "/opt/lib/python3.12/site-packages/{failure.where}", line 1, in x'
    stage = min(failure.stage, default=Stage.SERVING)
    assert next(part.id for part in parts().values() if part.arose(frame, stage)) == failure.id


ELSEWHERE = {
    "docker": (
        "--gpus --runtime --rm --shm-size --ipc --memory --ulimit --pids-limit --cap-add"
        " --group-add --security-opt --network --privileged --device"
    ),
    "kit": "--sglang --gpu --docker --count --context --no-mtp",
    "router": "--pd-disaggregation --prefill --decode",
    "others": (
        "--now --gpu-reset --force-reinstall --time --update --shutdown --help --extra-index-url"
    ),
    "called old": "--mamba-scheduler-strategy --cuda-graph-max-bs --disable-piecewise-cuda-graph",
    "a way to say it": "--flag --speculative",
}
WORDS = ("", "and", "or", "out", "left", "as", "from")  # no value: the sentence goes on


@pytest.mark.parametrize("failure", failures(), ids=lambda f: f.id)
def test_sglang_takes_the_flags_that_a_remedy_names(failure: Failure) -> None:
    takes = parser()._option_string_actions
    for remedy in failure.remedies:
        for flag, value in re.findall(r"(?<![\w-])(--[a-z][\w-]+)(?: ([\w.-]+))?", remedy):
            if any(flag in flags.split() for flags in ELSEWHERE.values()):
                continue
            assert flag in takes, remedy
            choices = takes[flag].choices
            assert not choices or value in {*choices, *WORDS}, remedy


@pytest.mark.parametrize("row", [*phases(), *frames()], ids=lambda p: p.key[:30])
def test_each_phases_line_and_each_function_stands_in_the_released_file(row: Any) -> None:
    assert row.key in text_of(row.where)


# --- provoked


def start(without: tuple[str, ...] = (), **options: str | None) -> None:
    """Try to start the toy with flags that differ; it raises what the log tells.

    Three times: SGLang divides what memory is free, and where another process gives
    some back meanwhile, too little is enough.
    """
    given = {f"--{name.replace('_', '-')}": value for name, value in options.items()}
    for _ in range(3):
        with server.start(cpu.tiny(free_port(), options=given, without=without)):
            pass
    raise AssertionError("it started after all")


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"mamba_scheduler_strategy": "extra_buffer"}, "does not know --mamba-scheduler-strategy"),
        ({"cuda_graph_max_bs": "8"}, "--cuda-graph-max-bs is short for several"),
        ({"reasoning_parser": "qwen9"}, "--reasoning-parser does not take 'qwen9'"),
        ({"language_model_only": None}, "--language-model-only is not for Qwen3.5"),
        ({"context_length": "300000"}, "beyond what the checkpoint says, 4096"),
        (
            {"mamba_radix_cache_strategy": "no_buffer", "page_size": "64"},
            "no_buffer does not go with page_size=1",
        ),
        (
            {"mem_fraction_static": "0.001", "without": ("--max-mamba-cache-size",)},
            "no memory left for a single state",
        ),
    ],
    ids=[
        "flag-gone",
        "flag-ambiguous",
        "flag-value",
        "text-only",
        "context",
        "no-buffer",
        "init-oom",
    ],
)
def test_a_provoked_failure_is_diagnosed(options: dict[str, Any], says: str) -> None:
    with pytest.raises(LaunchError) as failed:
        start(**options)
    assert says in failed.value.what


def test_a_checkpoint_without_weights_is_diagnosed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The kit looks before it starts; here SGLang itself is asked."""
    monkeypatch.setattr("kit.server.preflight.preflight", lambda command: ())
    for file in cpu.tiny_checkpoint().iterdir():
        if file.suffix != ".safetensors":
            shutil.copy(file, tmp_path)
    with pytest.raises(LaunchError, match="no weight files in"):
        start(model_path=str(tmp_path))


@pytest.fixture
def late_guest(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """A port that is free when the kit looks and taken when SGLang does."""
    with socket.socket() as guest:
        guest.bind(("127.0.0.1", 0))
        monkeypatch.setattr("kit.server.preflight.port_taken", lambda host, port: False)
        yield guest.getsockname()[1]


def test_a_port_taken_meanwhile_is_diagnosed(late_guest: int) -> None:
    with pytest.raises(LaunchError, match="another program listens on"):
        server.start(cpu.tiny(late_guest))
