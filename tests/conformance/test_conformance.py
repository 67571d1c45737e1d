"""The twin answers as SGLang 0.5.23 does; and this test would notice if it did not."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from typing import Any

import pytest
from wire_captures import Exchange, names, read
from wire_cases import METRICS_NOT_TOLD, MTP_ADDS, NOT_SERVED, SERVED
from wire_replay import ask, for_the_twin, settled
from wire_shapes import collapse, differences, keys, numberless, parts, shape, shapes, without

from kit.twin.process import TwinProcess, start

PROFILES = ("b200x8", "h200x8")  # without MTP, as the captured server was; and with it
REPLAYED = [name for name in SERVED if name != "59_metrics"]


@pytest.fixture(scope="module")
def twins() -> Iterator[dict[str, TwinProcess]]:
    running = {name: start(name, speed=200) for name in PROFILES}
    yield running
    for twin in running.values():
        twin.close()


@cache
def asked(url: str, name: str) -> Exchange:
    """What a twin answers to the request of a capture, changed as its case says."""
    return ask(url, *for_the_twin(name, url))


def compared(name: str, exchange: Exchange, mtp: bool) -> tuple[list[Any], list[Any]]:
    """The pieces of the real answer and of the twin's, made comparable as the case says."""
    nulls, without_these = SERVED[name].nulls, MTP_ADDS if mtp else ()
    real = [settled(piece, nulls, without_these) for piece in parts(read(name))]
    twin = [settled(piece, nulls, without_these) for piece in parts(exchange)]
    return real, twin


def test_every_capture_is_replayed_or_has_its_reason() -> None:
    assert not set(SERVED) & set(NOT_SERVED)
    assert sorted([*SERVED, *NOT_SERVED]) == names()
    assert all(len(reason) > 20 for reason in NOT_SERVED.values())


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("name", REPLAYED)
def test_twin_answers_as_sglang(twins: dict[str, TwinProcess], profile: str, name: str) -> None:
    exchange = asked(twins[profile].url, name)
    capture = read(name)
    assert (exchange.status, exchange.media) == (capture.status, capture.media)
    real, twin = compared(name, exchange, mtp=profile == "h200x8")
    assert differences(shapes(real), shapes(twin)) == []
    if SERVED[name].message:
        assert numberless(_message(twin[0])) == numberless(_message(real[0]))


def _message(body: dict[str, Any]) -> str:
    return str(body.get("message") or body["error"]["message"])


@pytest.mark.parametrize("name", REPLAYED)
def test_each_key_that_is_lost_is_noticed(twins: dict[str, TwinProcess], name: str) -> None:
    """Take one key after the other out of the twin's answer: each time the comparison must
    differ. Of chunks of one shape in a row, the last stands for all."""
    real, twin = compared(name, asked(twins["b200x8"].url, name), mtp=False)
    distinct = {repr(shape(piece)): i for i, piece in enumerate(twin) if isinstance(piece, dict)}
    expected, around, lost = shapes(real), [shapes([piece])[0] for piece in twin], 0
    for i in distinct.values():
        for path in keys(twin[i]):
            maimed = [*around[:i], shape(without(twin[i], path)), *around[i + 1 :]]
            assert differences(expected, collapse(maimed)) != [], f"nobody misses {path}"
            lost += 1
    if any(isinstance(piece, dict) and piece for piece in twin):
        assert lost > 0


@pytest.mark.parametrize("name", [n for n in REPLAYED if n.endswith("_stream") and "err" not in n])
def test_each_kind_of_chunk_that_is_lost_is_noticed(
    twins: dict[str, TwinProcess], name: str
) -> None:
    real, twin = compared(name, asked(twins["b200x8"].url, name), mtp=False)
    kinds = shapes(twin)
    assert kinds[-1] == "data: [DONE]"
    for kind in kinds:
        fewer = [one for piece in twin if (one := shapes([piece])[0]) != kind]
        assert differences(shapes(real), collapse(fewer)) != []


def test_ids_are_as_sglang_makes_them(twins: dict[str, TwinProcess]) -> None:
    for body in (
        asked(twins["h200x8"].url, "11_tool_auto_nonstream"),
        read("11_tool_auto_nonstream"),
    ):
        answer = parts(body)[0]
        assert re.fullmatch(r"[0-9a-f]{32}", answer["id"])
        call = answer["choices"][0]["message"]["tool_calls"][0]
        assert re.fullmatch(r"call_[0-9a-f]{24}", call["id"])


def test_metrics_are_a_part_of_sglangs(twins: dict[str, TwinProcess]) -> None:
    """Same names, types, help texts, labels and histogram bounds; in the same order."""
    url = twins["h200x8"].url
    asked(url, "01_chat_plain_stream")  # so that there is something to count
    exchange = asked(url, "59_metrics")
    assert exchange.media == read("59_metrics").media
    real, twin = _families(read("59_metrics")), _families(exchange)
    left_out = {f"sglang:{name}" for group in METRICS_NOT_TOLD.values() for name in group}
    assert set(real) - set(twin) == left_out
    assert list(twin) == [name for name in real if name in twin]
    for name, family in twin.items():
        assert family == real[name], name


def _families(exchange: Exchange) -> dict[str, Any]:
    """Name → kind, help, label names, histogram bounds."""
    found: dict[str, dict[str, Any]] = {}
    for line in exchange.body.decode().splitlines():
        if line.startswith("# HELP"):
            _, _, name, text = line.split(" ", 3)
            found[name] = {"help": text, "labels": set(), "bounds": set()}
        elif line.startswith("# TYPE"):
            found[line.split()[2]]["type"] = line.split()[3]
        elif line:
            name = re.split(r"[{ ]", line)[0]
            family = found.get(name) or found[re.sub(r"_(bucket|sum|count)$", "", name)]
            labels = dict(re.findall(r'(\w+)="([^"]*)"', line))
            family["bounds"] |= {labels.pop("le")} if "le" in labels else set()
            family["labels"] |= set(labels)
    return found
