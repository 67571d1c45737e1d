"""The live chart of a benchmark: what it is sent, how often, and what it keeps."""

from __future__ import annotations

import json
import re

import pytest

from kit.bench import Sample, Workload, simulate
from kit.hardware import profile
from kit.views.frontend import STATIC
from kit.views.widgets.live_bench import HISTORY, Feed


def sample(t_s: float, **more: object) -> Sample:
    values = {"sent": 9, "finished": 3, "failed": 0, "in_flight": 6, "output_tokens": int(t_s)}
    return Sample(t_s=t_s, **{**values, **more})


class Page:
    """Counts what is sent, by a clock that the test moves."""

    def __init__(self) -> None:
        self.now_s = 50.0
        self.messages: list[dict] = []
        self.feed = Feed(self.messages.append, lambda: self.now_s)

    def play(self, samples: list[Sample], every_s: float) -> None:
        for one in samples:
            self.now_s += every_s
            self.feed.add(one)
        self.feed.flush()


def test_a_whole_run_goes_in_messages_under_2_kb() -> None:
    samples: list[Sample] = []
    report = simulate(
        profile("h200x8"), Workload(1000, 1000, 300, max_concurrency=100), on_sample=samples.append
    )
    page = Page()
    page.play(samples, 0.2)
    assert max(len(json.dumps(m)) for m in page.messages) < 2_000
    last = page.messages[-1]
    assert last["n"] == [300, 300, 0]
    shown = {name: next(m[name] for m in reversed(page.messages) if name in m) for name in
             ("ttft", "itl")}  # fmt: skip
    assert sum(shown["ttft"][1]) == 300
    assert shown["ttft"][2] == pytest.approx(report.ttft.mean, rel=0.01)
    assert len(json.dumps(page.feed.history())) < 10_000


@pytest.mark.parametrize("every_s", [0.001, 0.01, 0.07, 0.19])
def test_at_most_five_messages_a_second_and_at_least_four(every_s: float) -> None:
    page = Page()
    samples = [sample(i * every_s) for i in range(int(60 / every_s))]
    page.play(samples, every_s)
    assert 4 * 60 <= len(page.messages) <= 5 * 60 + 2
    assert page.messages[-1]["t"] == round(samples[-1].t_s, 2)


def test_samples_that_come_a_little_early_are_not_held_back() -> None:
    page = Page()
    for i in range(100):
        page.now_s += 0.2 + (0.03 if i % 2 else -0.03)
        page.feed.add(sample(0.2 * i))
    assert len(page.messages) == 100


def test_what_came_between_two_messages_is_in_the_second() -> None:
    page = Page()
    page.play([sample(i / 100, ttft_s=(0.5,), itl_s=(0.01, 0.02)) for i in range(100)], 0.01)
    last = page.messages[-1]
    assert (sum(last["ttft"][1]), sum(last["itl"][1])) == (100, 200)
    assert last["itl"][2] == pytest.approx(15)


def test_the_rate_is_that_of_the_last_second() -> None:
    page = Page()
    page.play([sample(0.2 * i, output_tokens=200 * i) for i in range(20)], 0.2)
    page.play([sample(0.2 * i, output_tokens=4000) for i in range(20, 40)], 0.2)
    rates = [m["p"][1] for m in page.messages]
    assert rates[19] == 1000
    assert rates[-1] == 0


def test_a_server_that_tells_nothing_of_its_queue_gets_one_line() -> None:
    page = Page()
    page.play([sample(1.0), sample(1.2, running=4, queued=2)], 0.2)
    assert [m["p"][2:] for m in page.messages] == [[6, None], [4, 2]]


def test_a_queue_that_was_asked_for_before_the_requests_came_is_not_drawn() -> None:
    page = Page()
    page.play(
        [sample(0.2, running=0, queued=0), sample(9.0, running=0, queued=0, in_flight=0)], 0.2
    )
    assert [m["p"][2:] for m in page.messages] == [[None, None], [0, 0]]


def test_a_long_run_keeps_a_bounded_history_over_all_of_it() -> None:
    page = Page()
    page.play([sample(0.2 * i) for i in range(5_000)], 0.2)
    points = page.feed.history()["all"]
    assert len(points) <= HISTORY
    assert points[0][0] < 10
    assert points[-1][0] > 990
    assert [p[0] for p in points] == sorted(p[0] for p in points)


def test_the_chart_fetches_nothing_and_runs_no_text() -> None:
    script, style = ((STATIC / f"bench.{kind}").read_text() for kind in ("js", "css"))
    assert not re.search(r"import\b|fetch\(|XMLHttpRequest|eval\(|new Function|innerHTML", script)
    assert not re.search(r"@import|url\(", style)
