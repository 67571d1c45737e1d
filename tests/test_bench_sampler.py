"""A run as it is seen while it goes, and what a server tells beside it."""

from __future__ import annotations

import asyncio

import pytest
from wired import (
    DONE,
    END,
    OK,
    Asked,
    chat,
    chat_delta,
    chunked,
    go,
    native,
    native_events,
    serving,
    status,
    told,
)

from kit.bench import Sample, Workload
from kit.bench.sampler import Sampler
from kit.bench.server_stats import gauges, load
from kit.bench.transport import Origin, Pool, Response

SLOW = Workload(40, 60, 8, max_concurrency=4, seed=3)


def sampled(answer, workload=SLOW, **options):
    samples: list[Sample] = []
    report, _ = go(answer, workload, on_sample=samples.append, **options)
    return report, samples


def test_samples_come_while_it_goes_and_end_with_the_reports_totals():
    report, samples = sampled(lambda a: native(a, 0.03))
    assert len(samples) > 2
    assert samples == sorted(samples, key=lambda s: s.t_s)
    for name in ("sent", "finished", "output_tokens"):
        totals = [getattr(s, name) for s in samples]
        assert totals == sorted(totals)
    assert 0 < samples[0].output_tokens < samples[-1].output_tokens
    last = samples[-1]
    assert (last.sent, last.finished, last.failed, last.in_flight) == (8, 8, 0, 0)
    assert last.output_tokens == report.total_output_tokens
    assert all(s.in_flight <= 4 and s.counted for s in samples)


def test_every_first_token_is_told_once_and_is_the_reports():
    report, samples = sampled(lambda a: native(a, 0.03))
    told_s = sorted(t for s in samples for t in s.ttft_s)
    assert told_s == pytest.approx(sorted(r.ttft_s for r in report.records))


def test_gaps_are_per_token_and_are_among_the_reports():
    report, samples = sampled(lambda a: native(a, 0.03))
    gaps = [gap for s in samples for gap in s.itl_s]
    real = {
        round((b - a) / n, 9)
        for r in report.records
        for a, b, n in zip(r.times_s, r.times_s[1:], r.tokens[1:], strict=False)
    }
    assert gaps
    assert {round(gap, 9) for gap in gaps} <= real


def test_a_twins_samples_are_in_its_own_seconds():
    report, samples = sampled(lambda a: native(a, 0.03), kind="twin", speed=20.0)
    assert samples[-1].t_s == pytest.approx(report.duration_s, rel=0.2)
    assert samples[-1].t_s > 20 * 0.3
    assert max(max(s.ttft_s, default=0) for s in samples) > 0.03 * 20 / 2


def test_a_twin_that_has_said_nothing_yet_is_at_its_start():
    assert Sampler(clock=10, twin=True).sample(2, sent=1, in_flight=1).t_s == 0
    assert Sampler(clock=10).sample(2, sent=1, in_flight=1).t_s == 20


def test_chat_that_counts_is_sampled_by_its_counts():
    report, samples = sampled(chat)
    assert samples[-1].output_tokens == report.total_output_tokens
    assert samples[-1].counted


def test_where_nobody_counts_chunks_are_counted_and_it_is_said():
    async def plain(asked: Asked):
        if asked.method == "GET":
            yield status(404, "No", {})
            return
        yield OK
        for _ in range(5):
            yield chunked(b'data: {"choices": [{"delta": {"content": "word"}}]}\n\n')
            await asyncio.sleep(0.002)
        yield chunked(chat_delta({}, finish="stop"))
        yield chunked(b"data: [DONE]\n\n") + END

    _, samples = sampled(plain)
    assert not samples[-1].counted
    assert samples[-1].output_tokens == 5 * 8
    assert all(gap > 0.001 for s in samples for gap in s.itl_s)


def test_failures_are_counted_as_they_come():
    async def half(asked: Asked):
        if asked.method == "POST" and asked.number % 2:
            yield status(429, "Too Many", {"message": "queue full"})
        elif asked.method == "POST" and asked.number == 4:
            yield OK + chunked(b'data: {"error": {"message": "out of memory"}}\n\n') + END
        else:
            async for data in native(asked):
                yield data

    report, samples = sampled(half)
    assert samples[-1].failed == report.failed == 5
    assert samples[-1].finished == report.completed == 3


def test_the_servers_queue_is_asked_beside_the_run_and_never_often():
    page = (
        '# TYPE sglang:num_running_reqs gauge\nsglang:num_running_reqs{tp_rank="0"} 3.0\n'
        'sglang:num_queue_reqs{tp_rank="0"} 7.0\nsglang:num_running_reqs_offline{} 9.0\n'
    )

    async def telling(asked: Asked):
        if asked.method == "GET":
            yield told(asked, {}, page)
            return
        async for data in native(asked, 0.03):
            yield data

    samples: list[Sample] = []
    report, server = go(telling, SLOW, on_sample=samples.append)
    assert (samples[-1].running, samples[-1].queued) == (3, 7)
    asked = [a.at for a in server.asked if a.path == "/metrics"]
    assert len(asked) <= 3 + report.duration_s / 0.5  # before, after, and twice per second


def test_a_server_that_tells_no_queue_is_asked_once():
    samples: list[Sample] = []
    _, server = go(lambda a: native(a, 0.03), SLOW, on_sample=samples.append)
    assert samples[-1].running is None
    assert sum(a.path == "/v1/loads" for a in server.asked) == 1


def test_without_metrics_sglangs_loads_tell_the_queue():
    async def loads(asked: Asked):
        if asked.path == "/v1/loads":
            ranks = [{"num_running_reqs": 2, "num_waiting_reqs": n} for n in (1, 4)]
            yield status(200, "OK", {"loads": ranks})
        else:
            yield status(404, "No", {})

    async def main():
        async with serving(loads) as (_, target):
            side = Pool(Origin.of(target.base_url))
            try:
                return await load(side)
            finally:
                side.close()

    assert asyncio.run(main()) == (4, 5)


def test_vllms_page_tells_the_queue_too():
    page = b'vllm:num_requests_running{engine="0"} 5.0\nvllm:num_requests_waiting{engine="0"} 2.0'
    assert gauges(page) == (5, 2)


def test_a_sample_function_that_fails_is_no_secret():
    def broken(_sample: Sample) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        go(lambda a: native(a, 0.03), SLOW, on_sample=broken)


@pytest.mark.parametrize("piece", [60, 100, 1000, 9999])
def test_an_answer_cut_anywhere_is_sampled_the_same(piece):
    body = {"input_ids": [1], "sampling_params": {"max_new_tokens": 40}}
    asked = Asked("POST", "/generate", {}, body, 0, 0, 0.0)
    wire = b"".join(native_events(asked))
    whole = Response()
    whole.sent, whole.status = 1.0, 200
    sampler = Sampler()
    for number, start in enumerate(range(0, len(wire), piece)):
        whole.parts.append((2.0 + number, wire[start : start + piece]))
        sampler.look(whole)
    sampler.look(whole, ended=True)
    sample = sampler.sample(1.0, 1, 0)
    assert sample.output_tokens == 40
    assert len(sample.ttft_s) == 1


# --- accept length


def speculating(metrics: list[str]):
    """A chat server whose counters move from page to page; its mean since start is 2.75."""
    pages = iter(metrics)

    async def answer(asked: Asked):
        if asked.method == "GET":
            page = next(pages) if asked.path == "/metrics" and metrics else ""
            yield told(asked, {"avg_spec_accept_length": 2.75}, page)
            return
        async for data in chat(asked):
            yield data

    return answer


def counters(tokens: int, requests: int, steps: int) -> str:
    return (
        f'sglang:generation_tokens_total{{is_streaming="true"}} {tokens}.0\n'
        f'sglang:num_requests_total{{is_streaming="true"}} {requests}.0\n'
        f"sglang:spec_verify_calls_total{{}} {steps}.0\n"
    )


def test_the_accept_length_is_that_of_the_run_where_counters_tell():
    pages = [counters(1000, 10, 900), counters(1000 + 610, 10 + 10, 900 + 200)]
    report, _ = go(speculating(pages), dialect="chat")
    assert report.accept_length == pytest.approx(3.0)
    assert not any("accept length" in what for what in report.missing)


def test_without_counters_it_is_the_servers_since_its_start_and_labelled():
    report, _ = go(speculating([]), dialect="chat")
    assert report.accept_length == 2.75
    assert any("since it started" in what for what in report.missing)


def test_answers_that_tell_their_verify_steps_need_no_question():
    async def telling(asked: Asked):
        if asked.method == "GET":
            yield told(asked, {"avg_spec_accept_length": 1.5})
            return
        yield OK
        for data in native_events(asked):
            spec = b'"meta_info": {"spec_verify_ct": 4, "spec_num_correct_drafts": 9, '
            yield chunked(data.replace(b'"meta_info": {', spec))
        yield chunked(DONE) + END

    report, _ = go(telling)
    assert report.accept_length == pytest.approx(1 + 9 / 4)
    assert report.missing == ()
