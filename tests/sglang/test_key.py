"""A server that asks for a key: it is read from the kit's file and stands in no process list."""

from __future__ import annotations

from pathlib import Path

import pytest

import kit
from kit import server
from kit.errors import EndpointError
from kit.server import cpu, registry
from kit.server.processes import free_port

KEY = "sk-CANARY-0123456789"


@pytest.mark.timeout(600)
def test_the_key_is_asked_for_and_seen_by_nobody_else(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    monkeypatch.setenv("KIT_API_KEY", KEY)
    command = cpu.tiny(free_port(), options={"--api-key": "$KIT_API_KEY"})
    with server.start(command) as running:
        lists = [file.read_bytes() for file in Path("/proc").glob("[0-9]*/cmdline")]
        assert not any(KEY.encode() in line for line in lists)
        assert kit.connect(running.url, quiet=True).sglang
        assert KEY not in str(running.record())
        assert not list(registry.folder().glob("*.yaml"))
        monkeypatch.delenv("KIT_API_KEY")
        with pytest.raises(EndpointError, match="refused the key"):
            kit.connect(running.url, quiet=True)
