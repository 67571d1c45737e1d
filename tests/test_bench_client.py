"""What the client counts and stamps, against a server whose wire is written byte by byte."""

from __future__ import annotations

import asyncio
from time import perf_counter

import pytest
from wired import END, OK, WORK, chat, chat_delta, chunked, go, native, serving, status

from kit.bench import Workload, measure
from kit.provenance import simulated


def test_every_request_gets_its_tokens_counted():
    report, server = go(native)
    assert report.completed == 6
    assert report.total_input_tokens == WORK.total_input_tokens
    assert report.total_output_tokens == WORK.total_output_tokens
    assert [len(a.body["input_ids"]) for a in server.posts[1:]] == [i for i, _ in WORK.lengths]
    assert all(sum(r.tokens) == r.output_tokens for r in report.records)
    assert report.backend == "sglang"
    assert report.itl_basis == "token"
    assert str(report.provenance) == "measured · a test"


def test_the_warm_up_is_short_and_not_counted():
    report, server = go(native, Workload(10, 500, 3, seed=1))
    assert len(server.posts) == 4
    assert server.posts[0].body["sampling_params"]["max_new_tokens"] <= 32
    assert len(report.records) == 3


def test_no_byte_is_stamped_before_it_was_written():
    async def main():
        async with serving(lambda a: native(a, 0.002)) as (server, target):
            start = perf_counter()
            return await measure(target, Workload(10, 12, 1, seed=5)), server, start

    report, server, start = asyncio.run(main())
    (one,) = report.records
    written = [t - start for t in server.written]
    offset = one.sent_s - (server.posts[1].at - start)  # ours counts from the run's start
    assert offset <= 0
    stamps = [t - offset for t in one.times_s]
    chunks = written[-len(stamps) - 2 : -2]  # before DONE and the final /server_info
    assert all(w <= s + 1e-3 for w, s in zip(chunks, stamps, strict=True))
    assert list(one.times_s) == sorted(one.times_s)


def test_a_closed_loop_never_has_more_out():
    workload = Workload(10, 6, 30, max_concurrency=4)
    report, server = go(lambda a: native(a, 0.001), workload)
    assert server.most == 4
    assert report.completed == 30
    assert report.concurrency <= 4


def test_an_open_loop_sends_by_its_rate_whatever_comes_back():
    workload = Workload(10, 4, 12, request_rate=100.0)
    report, server = go(lambda a: native(a, 0.05), workload)
    sent = [r.sent_s for r in report.records]
    assert all(at >= s - 1e-3 for at, s in zip(sent, workload.send_s, strict=True))
    assert server.most > 2


def test_any_openai_compatible_server_is_measured_by_its_own_counts():
    report, server = go(chat)
    assert report.backend == "sglang-oai-chat"
    assert report.total_output_tokens == WORK.total_output_tokens
    assert report.total_input_tokens == 77 * 6
    assert report.itl_basis == "token"
    assert report.accept_length is None
    words = [len(a.body["messages"][0]["content"].split()) for a in server.posts[1:]]
    assert words == [i for i, _ in WORK.lengths]
    assert all(a.body["ignore_eos"] for a in server.posts)


def test_a_server_without_the_extensions_is_asked_plainly_and_it_is_said():
    async def strict(asked):
        if asked.method == "POST" and {"ignore_eos", "stream_options"} & set(asked.body):
            yield status(400, "Bad", {"error": {"message": "unknown field"}})
            return
        if asked.method == "GET":
            yield status(404, "No", {})
            return
        yield OK
        for _ in range(4):
            yield chunked(chat_delta({"content": "word"}))
        yield chunked(chat_delta({}, finish="stop"))
        yield chunked(b"data: [DONE]\n\n") + END

    report, _ = go(strict)
    assert report.completed == 6
    assert report.itl_basis == "chunk"
    assert report.total_output_tokens == WORK.total_output_tokens  # what was asked for
    said = " ".join(report.missing)
    assert "ignore_eos" in said
    assert "ITL per token" in said
    assert "output tokens" in said


def test_a_twins_figures_are_in_its_own_seconds():
    label = simulated("twin of h200x8")
    workload = Workload(10, 20, 4, max_concurrency=1)
    slow, _ = go(lambda a: native(a, 0.002), workload, kind="twin", speed=1.0, provenance=label)
    fast, _ = go(lambda a: native(a, 0.002), workload, kind="twin", speed=50.0, provenance=label)
    assert fast.provenance == label
    chunks = sum(len(r.times_s) for r in slow.records)
    for report, clock in ((slow, 1), (fast, 50)):
        assert report.duration_s >= chunks * 0.002 * clock
        assert report.concurrency == pytest.approx(1, abs=0.2)
    assert fast.duration_s > 10 * slow.duration_s
