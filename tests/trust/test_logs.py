"""Logs of any bytes, lines of any length: `kit diagnose` takes time that grows with them alone."""

from __future__ import annotations

import gzip
import io
import json
import re
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kit.cli import main
from kit.errors import KitError
from kit.server import failures, log
from kit.server.failures import examine
from kit.server.known_failures import engines, excusable, parts, specific_first
from kit.server.log_text import numbered, read, seen

SEEN = 4_200  # characters of a line that patterns see, at most
LONG = 1_000_000
LONG_LINES = {
    "letters": "a" * LONG,
    "digits": "9" * LONG,
    "underscores": "_" * LONG,
    "options": "--" * (LONG // 2),
    "errors": "a.Error:" * (LONG // 8),
    "words": "word " * (LONG // 5),
    "blanks": " " * LONG + "x",
    "killed": "Killed" + " " * LONG + "x",
    "files": 'File "' * (LONG // 6),
    "openings of a terminal's commands": "^[]" * (LONG // 3),
    "colours": "\x1b[31" * (LONG // 4),
    "returns": "x\r" * (LONG // 40),
    "a JSON that does not end": '{"log": "' + "x" * LONG,
    "deep JSON": '{"a":' * (LONG // 5),
    "a page that does not end": "<html>" + "<!-- " * (LONG // 5),
    "tags that do not end": "<html>" + "<a " * (LONG // 3),
}


class Watched:
    """A pattern that notes the longest text it was given."""

    longest = 0

    def __init__(self, pattern: re.Pattern[str]) -> None:
        self._pattern = pattern

    def search(self, text: str) -> re.Match[str] | None:
        Watched.longest = max(Watched.longest, len(text))
        return self._pattern.search(text)


@pytest.fixture
def watched(monkeypatch):
    """All patterns of the log readers, watched: the data's and the module's own."""
    rows = [*log.phases(), *log.frames(), *engines(), *specific_first(), *parts().values()]
    for row in {id(row): row for row in (*rows, *excusable())}.values():
        for name in ("pattern", "unless", "not_with", "within"):
            if getattr(row, name, None) is not None:
                held = getattr(row, name)
                object.__setattr__(row, name, Watched(held))
                monkeypatch.setattr(Watched, "longest", 0)
    for name, value in vars(failures).items():
        if isinstance(value, re.Pattern) and name not in ("_LONG_NUMBERS",):
            monkeypatch.setattr(failures, name, Watched(value))
    yield Watched
    for loader in (log.phases, log.frames, engines, specific_first, parts, excusable):
        loader.cache_clear()
    failures.failures.cache_clear()


@pytest.mark.parametrize("name", LONG_LINES)
def test_what_patterns_see_of_a_line_is_bounded(watched, name):
    line = LONG_LINES[name]
    examine(read(io.BytesIO(line.encode()), "a log"))
    failures.diagnose(iter([line]))
    log.read(line)
    assert 0 < watched.longest <= SEEN


@pytest.mark.parametrize("name", LONG_LINES)
def test_a_line_of_a_million_characters_is_no_wait(name):
    """Before, 20,000 characters took seconds, and four times as many sixteen times as long."""
    began_s = time.process_time()
    examine(read(io.BytesIO(LONG_LINES[name].encode()), "a log"))
    assert time.process_time() - began_s < 5


def test_no_pattern_takes_long_for_a_line_that_it_may_see():
    kinds = [seen(line) for line in LONG_LINES.values()]
    kinds += ["Error" * 800, "a=1 " * 1000, "1." * 2000, "/a" * 2000, "'" * 4000, "(" * 4000]
    began_s = time.process_time()
    for line in kinds:
        examine(numbered([line]))
        log.event_in(line)
    assert time.process_time() - began_s < 4


def test_the_end_of_a_long_line_is_seen_too():
    line = "x" * 100_000 + " torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB"
    start = "[2026-11-27 01:00:00] server_args=ServerArgs(model_path='x')\n"
    assert examine(numbered([start + line])).findings


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=600), st.sampled_from([b"", b"\xff\xfe", b"{", b"<html>", b"\x1f\x8b"]))
def test_a_log_of_any_bytes_is_read_or_refused_in_two_lines(data, start):
    try:
        told = str(examine(read(io.BytesIO(start + data), "a log")))
    except KitError as problem:
        told = str(problem)
        assert len(told.splitlines()) <= 2
    assert told


@pytest.mark.trust_long
@settings(max_examples=2500, deadline=None)
@given(
    st.lists(
        st.one_of(st.binary(max_size=300), st.sampled_from([p.key.encode() for p in log.phases()])),
        max_size=8,
    )
)
def test_so_are_five_thousand(pieces):
    try:
        str(examine(read(io.BytesIO(b"\n".join(pieces)), "a log")))
    except KitError as problem:
        assert len(str(problem).splitlines()) <= 2  # noqa: PT017


def test_a_megabyte_that_unpacks_to_a_gigabyte_is_read_a_piece_at_a_time(tmp_path):
    import tracemalloc

    bomb = gzip.compress(b"a line\n" * 4_000_000, 9)
    tracemalloc.start()
    for _ in zip(range(10_000), read(io.BytesIO(bomb), "a log"), strict=False):
        pass
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert most < 20_000_000  # the whole is 28 MB


def test_kit_diagnose_says_it_in_json_as_well(tmp_path, capsys):
    file = tmp_path / "a.log"
    file.write_bytes(b"\xff\xfe\x00Error \xed\xa0\xbd" + b"\x1b]0;title\x07" + b"9" * 50_000)
    main(["diagnose", str(file), "--json"])
    assert json.loads(capsys.readouterr().out)
