"""The failures that `kit.server.failures` knows, against the released files and a real server.

For each failure its key line stands in the file that it names; several are
provoked on the toy: SGLang prints what it prints, and the diagnosis is right.
"""

from __future__ import annotations

import argparse
import asyncio.base_events
import errno
import importlib.util
import os
import shutil
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from kit import server
from kit.errors import LaunchError
from kit.server import cpu
from kit.server.failures import Failure, failures
from kit.server.log import phases
from kit.server.processes import free_port

OF_CUDA_ALONE = {"driver-too-old", "illegal-access"}  # in no file of the pinned packages
OF_AN_OLDER = {"radix-conflict"}  # in the wheel of 0.5.13, not in the pinned one


def text_of(where: str) -> str:
    """What a file of the pinned packages holds, program libraries included."""
    package, _, rest = where.partition("/")
    spec = importlib.util.find_spec(package)
    assert spec is not None, where
    file = Path(next(iter(spec.submodule_search_locations or []))) / rest
    return file.read_bytes().decode("latin-1")


STANDARD_LIBRARY = {
    "argparse": lambda: Path(argparse.__file__).read_text(),
    "asyncio": lambda: Path(asyncio.base_events.__file__).read_text(),
    "os.strerror": lambda: os.strerror(errno.ENOSPC),
}


def squeezed(text: str) -> str:
    """Without what Python's line joining puts between the parts of a long string."""
    return "".join(text.split()).replace('"f"', "").replace('""', "").replace("''", "")


@pytest.mark.parametrize("failure", failures(), ids=lambda f: f.id)
def test_its_key_line_stands_in_the_released_file(failure: Failure) -> None:
    if failure.id in OF_CUDA_ALONE:
        assert not failure.where
        return
    if failure.id in OF_AN_OLDER:
        pytest.skip("read in the wheel of 0.5.13")
    read = STANDARD_LIBRARY.get(failure.where)
    text = read() if read else text_of(failure.where)
    assert failure.key in text or squeezed(failure.key) in squeezed(text)


@pytest.mark.parametrize("phase", phases(), ids=lambda p: p.key[:30])
def test_each_phases_line_stands_in_the_released_file(phase: Any) -> None:
    assert phase.key in text_of(phase.where)


# --- provoked


def start(without: tuple[str, ...] = (), **options: str | None) -> None:
    """Try to start the toy with flags that differ; it raises what the log tells."""
    given = {f"--{name.replace('_', '-')}": value for name, value in options.items()}
    with server.start(cpu.tiny(free_port(), options=given, without=without)):
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
