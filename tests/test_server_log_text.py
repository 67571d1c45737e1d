"""A log as people have it: any encoding, any collector, a saved page, however long."""

from __future__ import annotations

import gzip
import io
import json
import time
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import pytest

from kit.errors import InvalidValue
from kit.server.failures import examine
from kit.server.log_text import Line, numbered, open_log, read

LOG = """\
[2026-11-22 18:42:02 TP0] Load weight begin. avail mem=137.50 GB
Multi-thread loading shards:  37% Completed | 35/94\rMulti-thread loading shards:  38%
[2026-11-22 18:44:10 TP0] Scheduler hit an exception: Traceback (most recent call last):
torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB.
"""


def lines_of(log: bytes) -> list[Line]:
    return list(read(io.BytesIO(log), "it"))


def found(log: bytes) -> list[tuple[str, int]]:
    return [(f.id, f.number) for f in examine(lines_of(log)).findings]


@pytest.mark.parametrize(
    "encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "latin-1"]
)
def test_every_usual_encoding_is_read(encoding: str) -> None:
    """PowerShell's > writes UTF-16, some editors a byte-order mark."""
    assert found(LOG.encode(encoding)) == [("load-oom", 4)]


def test_bytes_that_are_no_text_are_passed_over() -> None:
    assert found(LOG.encode().replace(b"torch", b"\xff\xfe torch")) == [("load-oom", 4)]
    assert found(b"".join(bytes([c, 0]) for c in LOG.encode()) + LOG.encode())[0][0] == "load-oom"


def test_gzip_is_read_and_its_members_one_after_the_other() -> None:
    head, tail = LOG[:70].encode(), LOG[70:].encode()
    assert found(gzip.compress(head) + gzip.compress(tail)) == [("load-oom", 4)]
    with pytest.raises(InvalidValue, match="broken gzip"):
        lines_of(b"\x1f\x8b" + b"x" * 40)


def test_colours_are_taken_out_and_a_bar_is_one_line() -> None:
    coloured = LOG.replace("torch.", "\x1b[31mtorch.\x1b[0m\x1b]8;;x\x07")
    assert found(coloured.encode()) == [("load-oom", 4)]
    numbers = [line.number for line in lines_of(LOG.encode())]
    assert numbers == [1, 2, 2, 3, 4]
    assert [line.number for line in lines_of(LOG.replace("\n", "\r\n").encode())] == numbers


COLLECTORS = {
    "kubectl --prefix": "[pod/qwen-0/server] {}",
    "kubectl --timestamps": "2026-11-22T18:42:02.123456789Z {}",
    "containerd": "2026-11-22T18:42:02.123456789Z stderr F {}",
    "compose": "sglang-1  | {}",
    "journald": "Nov 22 18:42:02 gpu-07 sglang[202016]: {}",
    "srun --label": "0: {}",
    "mpirun": "[1,0]<stderr>:{}",
    "ray": "(SGLangEngine pid=38138, ip=10.0.0.7) {}",
    "a program's own logging": "2026-11-22 18:42:02,531 - __main__ - INFO - {}",
}


@pytest.mark.parametrize("collector", COLLECTORS)
def test_what_a_collector_puts_before_each_line_does_no_harm(collector: str) -> None:
    log = "".join(COLLECTORS[collector].format(line) + "\n" for line in LOG.splitlines())
    assert [name for name, _ in found(log.encode())] == ["load-oom"]


@pytest.mark.parametrize("key", ["log", "MESSAGE", "message", "msg", "textPayload"])
def test_a_collectors_json_lines_are_read(key: str) -> None:
    log = "".join(json.dumps({key: f"\x1b[31m{line}\n", "t": 1}) + "\n" for line in LOG.split("\n"))
    assert [name for name, _ in found(log.encode())] == ["load-oom"]
    assert lines_of(b'{"other": 1}\n{"broken')[0].text == '{"other": 1}'


PAGE = """<!DOCTYPE html><html><head><title>x</title><script>torch.OutOfMemoryError()</script>
<style>.a{{}}</style></head><body><p>People said</p><div><pre class="log"><span>{}</span></pre>
</div></body></html>"""


def test_a_saved_page_is_read_without_its_tags() -> None:
    rows = LOG.replace("&", "&amp;").replace("<", "&lt;").replace("torch.", "<b>torch</b>.")
    assert [name for name, _ in found(PAGE.format(rows).encode())] == ["load-oom"]
    assert found(PAGE.format("all is well").encode()) == []
    table = "".join(
        f"<tr><td>{n}</td><td>{line}</td></tr>" for n, line in enumerate(LOG.split("\n"))
    )
    assert [name for name, _ in found(f"<html><table>{table}</table>".encode())] == ["load-oom"]


@pytest.mark.parametrize(
    ("head", "why"),
    [
        (b"PK\x03\x04", "ZIP"),
        (b"\x89PNG\r\n", "a picture"),
        (b"%PDF-1.7", "a PDF"),
        (b"(\xb5/\xfd", "zstd"),
    ],
)
def test_what_is_no_text_is_called_by_its_name(head: bytes, why: str) -> None:
    with pytest.raises(InvalidValue, match="is not text") as refused:
        lines_of(head + b"\0" * 20)
    assert why in refused.value.hint


def test_a_log_that_cannot_be_read_says_so(tmp_path: Path) -> None:
    for name in ("none.log", "."):
        with (
            pytest.raises(InvalidValue, match="cannot be read"),
            open_log(str(tmp_path / name)) as log,
        ):
            next(log)
    (tmp_path / "empty").write_bytes(b"\n \n")
    with pytest.raises(InvalidValue, match="is empty"), open_log(str(tmp_path / "empty")) as log:
        next(log)
    with pytest.raises(InvalidValue) as refused, open_log("https://host/server.log") as log:
        next(log)
    assert refused.value.hint == "curl -sSL https://host/server.log | kit diagnose -"


@pytest.mark.parametrize("size", [1, 7, 64, 4096])
def test_the_pieces_that_a_text_comes_in_change_nothing(size: int) -> None:
    whole = list(numbered([LOG]))
    assert list(numbered(LOG[i : i + size] for i in range(0, len(LOG), size))) == whole


def days_of_serving(megabytes: int) -> Iterator[bytes]:
    line = (
        b"[2026-11-22 18:%02d:%02d TP0] Decode batch, #running-req: %d, #token: %d, token usage: "
        b"0.%02d, accept len: 3.12, cuda graph: True, gen throughput (token/s): %d.1, #queue-req: 0"
        b'\n[2026-11-22 18:00:00] INFO:     10.0.0.%d:%d - "POST /v1/chat/completions" 200 OK\n'
    )
    written = 0
    while written < megabytes << 20:
        piece = b"".join(
            line % (n % 60, n % 60, n, n * 7, n % 99, n, n % 250, n) for n in range(999)
        )
        written += len(piece)
        yield piece


@pytest.mark.trust_long
def test_a_hundred_megabytes_take_seconds_and_no_memory(tmp_path: Path) -> None:
    path = tmp_path / "long.log"
    with path.open("wb") as log:
        log.writelines([LOG.encode().replace(b"TP0", b"TP1")[:140], b"\n"])
        log.writelines(days_of_serving(100))
        log.write(b"torch.AcceleratorError: CUDA error: an illegal memory access was encountered\n")
    tracemalloc.start()
    with open_log(str(path)) as lines:
        for _ in range(100_000):
            next(lines)
    assert tracemalloc.get_traced_memory()[1] < 30 << 20
    tracemalloc.stop()
    begun = time.process_time()
    with open_log(str(path)) as lines:
        result = examine(lines)
    assert [finding.id for finding in result.findings] == ["illegal-access"]
    assert time.process_time() - begun < 20  # 4 s on two idle cores
