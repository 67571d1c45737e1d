"""One request to a running twin, and what it costs the others and the machine."""

from __future__ import annotations

import http.client
import json
import time
import urllib.request
from pathlib import Path
from typing import Any

from kit.twin.process import TwinProcess

CHAT = "/v1/chat/completions"
JSON = {"content-type": "application/json"}
HI = {"messages": [{"role": "user", "content": "Hi"}], "max_tokens": 2, "ignore_eos": True}
EVIL = "https://evil.example"


def picture(url: str, kind: str = "image_url") -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": [{"type": kind, kind: {"url": url}}]}]}


def send(twin: TwinProcess, path: str, content: Any, wait_s: float = 30) -> tuple[int, bytes]:
    raw = content if isinstance(content, bytes) else json.dumps(content).encode()
    connection = http.client.HTTPConnection(twin.url.removeprefix("http://"), timeout=wait_s)
    try:
        connection.request("POST", path, raw, JSON)
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def ping_s(twin: TwinProcess) -> float:
    began_s = time.monotonic()
    with urllib.request.urlopen(f"{twin.url}/health", timeout=10) as answer:
        answer.read()
    return time.monotonic() - began_s


def resident_mib(twin: TwinProcess) -> float:
    pages = Path(f"/proc/{twin.pid}/statm").read_text().split()[1]
    return int(pages) * 4096 / 2**20
