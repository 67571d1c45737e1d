"""The real SGLang with the pocket model: it says what transformers says, with MTP and without;
drafts are accepted as often as the MTP layer is right; it thinks and calls in the twin's pieces.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Any

import pytest
from mtp_guesses import Guesses
from pieces import CHOICES, INSTRUCT, WEATHER, answered, calls, deltas, fragments, served, twin_of
from wire_replay import ask
from wire_shapes import differences, shapes

from kit import server
from kit.course import drawings
from kit.models.image_tokens import smart_resize
from kit.pocket import SERVED_NAME, SUMS, WEIGHTS
from kit.server import Server, cpu
from kit.server.processes import free_port
from kit.speed.speculation import accept_length
from kit.vision import image, message

pytestmark = pytest.mark.skipif(
    not (WEIGHTS / SUMS).exists(), reason="no weights have been released yet"
)

END = "<|im_end|>"
AT_ONCE = 8
TWIN = "h200x8"  # with MTP, three drafts
NULLS = "prompt_tokens_details"  # null or counts, by what a prefix cache held


@pytest.fixture(scope="module", params=[cpu.POCKET_STEPS, 0], ids=["MTP", "plain"])
def either(request: pytest.FixtureRequest) -> Iterator[Server]:
    with server.start(cpu.pocket(free_port(), steps=request.param)) as running:
        yield running


@pytest.fixture
def pocket(either: Server) -> str:
    """The one with MTP: what does not speculate needs no asking twice."""
    if not speculates(either):
        pytest.skip("asked with MTP")
    return either.url


@pytest.fixture(scope="module")
def twin() -> Iterator[str]:
    with twin_of(TWIN) as url:
        yield url


def speculates(running: Server) -> bool:
    return bool(running.command and "--speculative-algorithm" in running.command.argv)


@cache
def recorded() -> list[dict[str, str]]:
    """Fifty prompts with transformers' greedy outputs (pocket/evaluate.py)."""
    return json.loads((WEIGHTS / "recorded.json").read_text())


@cache
def outputs(url: str) -> list[Any]:
    """What the server makes of those prompts, several at a time."""

    def generate(entry: dict[str, str]) -> Any:
        sampling = {"temperature": 0, "max_new_tokens": 400, "skip_special_tokens": False}
        body = {"text": entry["prompt"], "sampling_params": sampling}
        return json.loads(ask(url, "POST", "/generate", json.dumps(body)).body)

    with ThreadPoolExecutor(AT_ONCE) as pool:
        return list(pool.map(generate, recorded()))


def test_it_says_what_transformers_says(either: Server) -> None:
    said = [one["text"].removesuffix(END) for one in outputs(either.url)]
    wrong = [
        (entry["prompt"][-80:], entry["output"], text)
        for entry, text in zip(recorded(), said, strict=True)
        if text != entry["output"]
    ]
    mode = "with MTP" if speculates(either) else "without MTP"
    print(f"\n{mode}: {len(said) - len(wrong)} of {len(said)} outputs are transformers'")
    assert wrong == []


def test_drafts_are_accepted_as_often_as_the_layer_is_right(either: Server) -> None:
    """Compared on the same tokens: the layer's guesses after every token, by transformers, walked
    as a server walks. The product of its chances takes every token for a step's beginning, and is
    larger: steps begin where a guess was wrong, so at the harder tokens.
    """
    said = outputs(either.url)
    if not speculates(either):
        assert all("spec_verify_ct" not in one["meta_info"] for one in said)
        return
    told = [one["meta_info"] for one in said]
    tokens = sum(one["completion_tokens"] - 1 for one in told)  # the first comes of the prefill
    measured = tokens / sum(one["spec_verify_ct"] for one in told)
    guesses = Guesses.of(WEIGHTS, texts(said), cpu.POCKET_STEPS)
    walked = tokens / guesses.steps()
    computed = accept_length(guesses.chances())
    by_draft = ", ".join(f"{chance:.1%}" for chance in guesses.chances())
    own = either.info()["internal_states"][0]["avg_spec_accept_length"]
    print(f"\naccept length: measured {measured:.2f} (server_info, lately: {own:.2f}); ", end="")
    print(f"the layer's guesses, walked {walked:.2f}; their chances {by_draft}: {computed:.2f}")
    assert measured > 1
    assert own > 1
    assert measured == pytest.approx(walked, rel=0.01)
    assert measured < computed
    assert measured == pytest.approx(computed, rel=0.2)


def texts(said: Sequence[Any]) -> list[tuple[str, list[int]]]:
    """Prompts, and the tokens that the server put after them."""
    return [
        (entry["prompt"], one["output_ids"]) for entry, one in zip(recorded(), said, strict=True)
    ]


def test_its_metrics_count_tokens_and_verify_steps(pocket: str) -> None:
    """The gauge sglang:spec_accept_length tells of the last steps only, and is 0 at rest."""
    outputs(pocket)
    text = ask(pocket, "GET", "/metrics", "").body.decode()

    def counted(name: str) -> float:
        lines = [line for line in text.splitlines() if line.startswith(f"sglang:{name}{{")]
        return sum(float(line.split()[-1]) for line in lines)

    assert counted("generation_tokens_total") > counted("spec_verify_calls_total") > 0


def test_it_is_served_under_its_own_name(pocket: str) -> None:
    assert served(pocket) == SERVED_NAME


SUM = [{"role": "user", "content": "What is 15% of 240?"}]


@pytest.mark.parametrize("thinking", [True, False], ids=["thinking", "instruct"])
def test_thinking_streams_apart_from_the_answer(pocket: str, thinking: bool) -> None:
    _, pieces = answered(pocket, messages=SUM, temperature=0, **({} if thinking else INSTRUCT))
    thought = "".join(d.get("reasoning_content") or "" for d in deltas(pieces))
    answer = "".join(d.get("content") or "" for d in deltas(pieces))
    assert bool(thought) is thinking
    assert "36" in answer
    assert "think>" not in thought + answer


@pytest.mark.parametrize("choice", CHOICES)
@pytest.mark.parametrize("thinking", [True, False], ids=["thinking", "instruct"])
def test_a_call_is_parsed_and_comes_in_the_twins_pieces(
    pocket: str, twin: str, choice: str, thinking: bool
) -> None:
    """Of a city that no lesson asks for, so that the twin's call is the pocket model's, too."""
    asked = [{"role": "user", "content": "What's the weather in Oslo?"}]
    more = {"messages": asked, "tools": [WEATHER], "tool_choice": CHOICES[choice]}
    more |= {"temperature": 0}
    more |= {"stream_options": {"include_usage": True}, **({} if thinking else INSTRUCT)}
    (status, real), (_, ours) = answered(pocket, **more), answered(twin, **more)
    assert status == 200
    assert differences(shapes(counted(real)), shapes(counted(ours))) == []
    if choice == "none":
        assert fragments(real) == []
        return
    assert calls(real) == [("get_weather", {"city": "Oslo"})]
    told = [[(f["index"], bool(f["id"]), f["function"]["name"], f["function"]["arguments"])
             for f in fragments(one)] for one in (real, ours)]  # fmt: skip
    assert told[0] == told[1]


def counted(pieces: list[Any]) -> list[Any]:
    """With null for details that one prefix cache gives and another does not."""
    return [
        piece | {"usage": piece["usage"] | {NULLS: None}}
        if isinstance(piece, dict) and piece.get("usage")
        else piece
        for piece in pieces
    ]


def test_the_image_of_lesson_05_is_taken_and_counted(pocket: str) -> None:
    part = image(drawings.geometry())
    asked = message("Describe this image.", part)
    body = {"model": SERVED_NAME, "messages": [asked], "max_tokens": 8, "temperature": 0}
    answer = ask(pocket, "POST", "/v1/chat/completions", json.dumps(body))
    assert answer.status == 200, answer.body
    size = json.loads((WEIGHTS / "preprocessor_config.json").read_text())["size"]
    rows, columns = smart_resize(
        part.height, part.width, min_pixels=size["shortest_edge"], max_pixels=size["longest_edge"]
    )
    usage = json.loads(answer.body)["usage"]
    assert usage["prompt_tokens_details"]["image_tokens"] == rows * columns // 32**2


def test_a_prompt_past_its_context_is_refused_in_a_line(pocket: str) -> None:
    long = [{"role": "user", "content": "dog " * 5000}]
    body = {"model": SERVED_NAME, "messages": long}
    answer = ask(pocket, "POST", "/v1/chat/completions", json.dumps(body))
    assert answer.status == 400
    said = json.loads(answer.body)["message"]
    assert f"longer than the model's context length ({cpu.POCKET_CONTEXT_LENGTH} tokens)" in said
