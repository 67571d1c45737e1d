"""A benchmark's answers, its result files and the disk they go to: what is whole, what is kept."""

from __future__ import annotations

import asyncio
import json
import math
import os
import resource
import signal
import subprocess
import sys
import time
import warnings
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from wired import DONE, END, OK, chat_delta, chunked, event, native_events, serving, status

from kit.bench import Workload, measure, read
from kit.bench.answer_reader import events, record
from kit.bench.progress import most_tokens
from kit.bench.transport import MOST_BYTES, Response
from kit.errors import InvalidValue, KitError
from kit.text_file import append_line, write_text

DATA = Path(__file__).parents[1] / "data"

WORK = Workload(8, 8, 4, max_concurrency=2, range_ratio=1.0)
WORDS = [chat_delta({"content": f"word{n}"}) for n in range(8)]
FINISH = chat_delta({}, finish="stop")
USAGE = b'data: {"choices":[],"usage":{"prompt_tokens":8,"completion_tokens":%s}}\n\n'
WHOLE = [*WORDS, FINISH, USAGE % b"8", DONE]
DEEP = b"data: " + b"[" * 100_000 + b"\n\n"


def data(text: bytes) -> bytes:
    return b"data: " + text + b"\n\n"


def after_the_warm_up(broken: list[bytes], dialect: str = "chat", **options):
    """The report of a run whose warm-up is answered well, and everything else by `broken`."""

    async def answer(asked):
        if asked.method == "GET":
            yield status(404, "Not Found", {})
            return
        yield OK
        whole = WHOLE if dialect == "chat" else [*native_events(asked), DONE]
        for part in broken if asked.number else whole:
            yield chunked(part)
        yield END

    async def main():
        async with serving(answer) as (_, target):
            return await measure(target, WORK, dialect=dialect, **options)

    return asyncio.run(main())


NOT_WHOLE = {
    "cut after three chunks": (WORDS[:3], "not whole: no finish reason and no [DONE]"),
    "half a chunk": ([*WORDS, FINISH[:20]], "not whole: no finish reason and no [DONE]"),
    "no finish reason": ([*WORDS, USAGE % b"8", DONE], "not whole: no finish reason"),
    "an empty finish reason": ([*WORDS, chat_delta({}, finish=""), DONE], "no finish reason"),
    "no [DONE]": (WHOLE[:-1], "not whole: no [DONE]"),
    "[DONE] without its blank line": ([*WHOLE[:-1], DONE[:-1]], "not whole: no [DONE]"),
    "ended by an error": ([*WORDS, chat_delta({}, finish="abort"), DONE], "in the stream: abort"),
    "bytes that are no text": ([*WORDS, data(b'{"a":"\xff"}'), *WHOLE[8:]], "no JSON object"),
    "deep JSON": ([*WORDS, DEEP, *WHOLE[8:]], "no JSON object"),
    "a number of 5,000 digits": ([*WHOLE[:9], USAGE % (b"9" * 5000), DONE], "no JSON object"),
    "a count that cannot be": ([*WHOLE[:9], USAGE % b"1000000000000", DONE], "more tokens"),
    "a negative count": ([*WHOLE[:9], USAGE % b"-8", DONE], "no JSON object"),
    "a count that is infinite": ([*WHOLE[:9], USAGE % b"1e999", DONE], "no JSON object"),
    "an array as an event": ([*WORDS, data(b"[]"), *WHOLE[8:]], "no JSON object"),
    "nothing but a role": ([chat_delta({"role": "assistant"}), FINISH, DONE], "without a token"),
}


@pytest.mark.parametrize("name", NOT_WHOLE)
def test_an_answer_that_is_not_whole_is_a_failure_with_its_reason(name):
    """bench_serving counts all but the broken JSON as completed, with the tokens asked for."""
    broken, reason = NOT_WHOLE[name]
    report = after_the_warm_up(broken)
    assert (report.completed, report.total_output_tokens) == (0, 0)
    ((error, count),) = report.errors.items()
    assert reason in error
    assert count == 4
    assert reason in report.table()


def test_so_is_one_of_generate():
    class Asked:
        body = {"input_ids": [1, 2]}  # noqa: RUF012

    cut = [event(total, Asked) for total in (1, 4)]
    aborted = {"type": "abort", "message": "Abort in waiting queue"}
    for broken, reason in (
        (cut, "not whole: no finish reason and no [DONE]"),
        ([*cut, DONE], "not whole: no finish reason"),
        ([*cut, event(8, Asked, {"type": "length"})], "not whole: no [DONE]"),
        ([*cut, event(8, Asked, aborted), DONE], "in the stream: abort: Abort in waiting queue"),
    ):
        report = after_the_warm_up(broken, "native")
        assert report.errors == {reason: 4}
        assert report.completed == 0


@pytest.mark.parametrize("newline", [b"\n", b"\r\n", b"\r"])
@pytest.mark.parametrize("size", [1, 7, 10_000])
def test_a_whole_answer_is_whole_however_its_bytes_come(newline, size):
    wire = b"".join(WHOLE).replace(b"\n", newline)
    pieces = [wire[at : at + size] for at in range(0, len(wire), size)]
    report = after_the_warm_up([b": a comment" + newline * 2, *pieces])
    assert report.errors == {}
    assert report.total_output_tokens == 4 * 8


def test_what_follows_the_end_belongs_to_no_answer():
    report = after_the_warm_up([*WHOLE, data(b"[]"), *WORDS])
    assert (report.errors, report.total_output_tokens) == ({}, 32)


@pytest.mark.parametrize(
    "alive", [b": keep-alive\n\n", chat_delta({}), chat_delta({"content": ""})]
)
def test_what_keeps_a_connection_alive_is_no_progress(alive):
    async def answer(asked):
        if asked.method == "GET":
            yield status(404, "Not Found", {})
            return
        yield OK + b"".join(map(chunked, WHOLE if asked.number == 0 else WORDS[:3]))
        while asked.number:
            yield chunked(alive)
            await asyncio.sleep(0.02)
        yield END

    async def main():
        async with serving(answer) as (_, target):
            return await measure(target, WORK, dialect="chat", stall_s=0.4)

    report = asyncio.run(main())
    assert report.errors == {"stalled: no token, only bytes, for 0.4 s": 4}


def test_a_stream_without_an_end_is_ended():
    async def answer(asked):
        if asked.method == "GET":
            yield status(404, "Not Found", {})
            return
        yield OK + b"".join(map(chunked, WHOLE if asked.number == 0 else []))
        while asked.number:
            yield chunked(WORDS[0] * 500)
            await asyncio.sleep(0.002)
        yield END

    async def main():
        async with serving(answer) as (_, target):
            work = Workload(8, 8, 2, max_concurrency=2, range_ratio=1.0)
            return await measure(target, work, dialect="chat", stall_s=4)

    (error,) = asyncio.run(main()).errors
    assert error == "endless: far more tokens than were asked for"


def kept(reads: list[bytes]) -> Response:
    response = Response()
    response.status = 200
    for number, got in enumerate(reads):
        response.add(float(number), got)
    return response


def test_a_line_of_ten_megabytes_is_read_in_time_that_grows_with_it_alone():
    """In pieces as a socket gives them, and in single bytes, which are kept as one."""
    text = b"x" * 10_000_000
    whole = chat_delta({"content": "@"}).replace(b"@", text)
    reads = [whole[at : at + 65_536] for at in range(0, len(whole), 65_536)]
    began_s = time.process_time()
    one = record(kept([*reads, FINISH, DONE]), "chat", (8, 8), 0.0)
    assert one.ok
    assert list(one.times_s) == [len(reads) - 1.0]
    small = kept([bytes([byte]) for byte in WORDS[0] * 300])
    assert len(small.parts) < 3 * 300 + 3
    assert len(list(events(small.parts))) == 300
    assert time.process_time() - began_s < 5  # a tenth of it; forty times as long before


def test_the_memory_of_an_answer_is_bounded():
    assert MOST_BYTES <= 1 << 28
    assert most_tokens(1000) < 20_000


def test_a_report_says_nothing_of_a_terminals_commands():
    body = {"error": {"message": "boom \x1b[31m\x07 \ud800 red"}}

    async def answer(asked):
        yield status(404 if asked.method == "GET" else 500, "No", body)

    async def main():
        async with serving(answer) as (_, target):
            await measure(target, WORK, dialect="chat")

    with pytest.raises(Exception, match="HTTP 500: boom") as caught:
        asyncio.run(main())
    assert str(caught.value).replace("\n", "").isprintable()
    assert json.dumps(str(caught.value)).isascii()


# --- result files of any bytes


RUN = json.loads((DATA / "bench_serving.jsonl").read_text().splitlines()[0])
NUMBERS = [True, -1, 0, 1e308, math.nan, math.inf, 10**400, 10**12]
ODD = st.sampled_from([*NUMBERS, None, "x", "", "9" * 50, "\ud800", [], {}, [[]], {"a": {}}])


def two_lines_or_reports(path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            told = [report.table() + json.dumps(report.to_json()) for report in read(path)]
        except KitError as problem:
            told = [str(problem)]
            if len(told[0].splitlines()) > 2:
                raise
    assert all(told)


@settings(max_examples=80, deadline=None, suppress_health_check=list(HealthCheck))
@given(changes=st.dictionaries(st.sampled_from(sorted(RUN)), ODD, min_size=1, max_size=5))
def test_a_result_line_with_anything_in_it_is_read_or_refused_in_two_lines(tmp_path, changes):
    file = tmp_path / "run.jsonl"
    file.write_text(json.dumps(RUN | changes))
    two_lines_or_reports(file)


@settings(max_examples=80, deadline=None, suppress_health_check=list(HealthCheck))
@given(at=st.integers(0, 2000), bytes_=st.binary(max_size=40), cut=st.integers(0, 60))
def test_so_is_a_file_of_any_bytes(tmp_path, at, bytes_, cut):
    file = tmp_path / "run.jsonl"
    whole = json.dumps(RUN).encode()
    file.write_bytes(whole[:at] + bytes_ + whole[at + cut :])
    two_lines_or_reports(file)


@pytest.mark.trust_long
@settings(max_examples=2000, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    changes=st.dictionaries(st.sampled_from(sorted(RUN)), ODD, max_size=5),
    at=st.integers(0, 2000),
    bytes_=st.binary(max_size=200),
    cut=st.integers(0, 60),
)
def test_so_are_four_thousand_of_both(tmp_path, changes, at, bytes_, cut):
    file = tmp_path / "run.jsonl"
    whole = json.dumps(RUN | changes).encode()
    file.write_bytes(whole[:at] + bytes_ + whole[at + cut :])
    two_lines_or_reports(file)


@pytest.mark.parametrize("broken", [b"[" * 200_000, b'{"a":' * 100_000, b"9" * 5000, b"\0\0", b""])
def test_what_nobody_wrote_is_refused_in_two_lines(tmp_path, broken):
    file = tmp_path / "run.jsonl"
    file.write_bytes(broken)
    with pytest.raises(KitError) as caught:
        read(file)
    assert len(str(caught.value).splitlines()) <= 2


@pytest.mark.parametrize("length", [1, 40, 300, -1])
def test_a_torn_line_is_left_out_and_said(tmp_path, length):
    file = tmp_path / "run.jsonl"
    line = json.dumps(RUN)
    file.write_text(f"{line}\n{line}\n{line[:length]}")
    with pytest.warns(UserWarning, match="a torn line, left out"):
        assert len(read(file)) == 2
    append_line(file, line)  # the next run is none the worse
    with pytest.warns(UserWarning, match="a torn line, left out"):
        assert len(read(file)) == 3


def test_a_line_of_something_else_is_no_torn_one(tmp_path):
    file = tmp_path / "run.jsonl"
    line = json.dumps(RUN)
    file.write_text(f"{line}\nnot a run\n{line}\n")
    with pytest.raises(InvalidValue, match="line 2"):
        read(file)


# --- a full disk


class FullDisk:
    """A limit on the size of files, which a write runs into as into the end of a disk."""

    def __init__(self, size: int) -> None:
        self.size = size

    def __enter__(self) -> None:
        self.before = resource.getrlimit(resource.RLIMIT_FSIZE)
        self.handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (self.size, self.before[1]))

    def __exit__(self, *problem: object) -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, self.before)
        signal.signal(signal.SIGXFSZ, self.handler)


def test_what_does_not_fit_leaves_the_file_as_it_was(tmp_path):
    page, lines = tmp_path / "page.md", tmp_path / "run.jsonl"
    write_text(page, "before\n")
    append_line(lines, "before")
    for write, file in ((write_text, page), (append_line, lines)):
        with FullDisk(4096), pytest.raises(KitError) as caught:
            write(file, "x" * 10_000)
        assert "was not written" in str(caught.value)
        assert len(str(caught.value).splitlines()) == 2
        assert file.read_text() == "before\n"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["page.md", "run.jsonl"]


def test_a_written_file_keeps_its_mode_its_link_and_its_device(tmp_path):
    file, link = tmp_path / "real", tmp_path / "link"
    file.write_text("old")
    file.chmod(0o640)
    link.symlink_to(file)
    write_text(link, "new \ud800")
    assert link.is_symlink()
    assert file.read_text() == "new \\ud800"
    assert file.stat().st_mode & 0o777 == 0o640
    write_text(Path("/dev/null"), "gone")
    append_line(Path("/dev/null"), "gone")
    assert not Path("/dev/null").is_file()


def bench_command(out: str, **more) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, "-m", "kit.cli", "bench", "--url", "twin", "--speed", "100"]
    argv += ["--num-prompts", "2", "--input-len", "9", "--output-len", "9", "--out", out]
    env = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    return subprocess.run(
        argv, stderr=subprocess.PIPE, text=True, timeout=60, check=False, env=env, **more
    )


def test_a_run_is_printed_before_it_is_written_and_written_where_it_cannot_be_printed(tmp_path):
    done = bench_command("/dev/full", stdout=subprocess.PIPE)
    assert "Serving Benchmark Result" in done.stdout
    assert done.returncode == 2
    assert done.stderr.splitlines()[-2:] == [
        "kit: /dev/full was not written: No space left on device",
        "→ make room on its disk, or give another place",
    ]
    kept = tmp_path / "run.jsonl"
    with open("/dev/full", "w") as full:
        done = bench_command(str(kept), stdout=full)
    assert "Traceback" not in done.stderr
    assert len(read(kept)) == 1
