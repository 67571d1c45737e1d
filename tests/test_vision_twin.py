"""The twin and pictures: it counts them, knows the kit's own, and never says that it sees."""

from __future__ import annotations

import asyncio
import base64
import io
from collections.abc import Iterator
from time import monotonic
from typing import Any

import openai
import pytest
from PIL import Image
from starlette.testclient import TestClient

from kit.course import drawings
from kit.endpoint import Endpoint, connect
from kit.hardware import profile
from kit.models import model
from kit.scheduler import Request, Scheduler
from kit.twin.app import app
from kit.twin.chat_format import render
from kit.twin.engine import Clock, Engine
from kit.twin.server import Twin
from kit.twin.tokenizer import vocabulary
from kit.vision import avi, image, message, video

B200 = profile("b200x8")
DESCRIBE = "Describe this image in detail."


@pytest.fixture(scope="module")
def endpoint() -> Iterator[Endpoint]:
    opened = connect("twin", profile="h200x8", speed=200, quiet=True)
    yield opened
    opened.close()


def ask(endpoint: Endpoint, *messages: dict[str, Any], **more: Any) -> Any:
    return endpoint.client().chat.completions.create(
        model=endpoint.model, messages=list(messages), **more
    )


def said(answer: Any) -> str:
    return str(answer.choices[0].message.content)


def author(endpoint: Endpoint, *messages: dict[str, Any]) -> str:
    raw = endpoint.client().chat.completions.with_raw_response.create(
        model=endpoint.model, messages=list(messages)
    )
    return str(raw.headers["x-kit-author"])


def refusal(endpoint: Endpoint, part: dict[str, Any]) -> str:
    with pytest.raises(openai.BadRequestError) as refused:
        ask(endpoint, {"role": "user", "content": [part, {"type": "text", "text": "Hi"}]})
    body = refused.value.body
    assert isinstance(body, dict)
    return str(body["message"])


def picture(url: str) -> dict[str, Any]:
    return {"type": "image_url", "image_url": {"url": url}}


def as_url(data: bytes) -> str:
    return "data:image/png;base64," + base64.b64encode(data).decode()


def png(width: int, height: int, colour: str = "teal") -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (width, height), colour).save(out, "PNG")
    return out.getvalue()


# --- what is counted


@pytest.mark.parametrize("size", [(64, 64), (1280, 720), (333, 777), (4000, 3000)])
def test_usage_counts_the_pictures_tokens(endpoint: Endpoint, size: tuple[int, int]) -> None:
    tower = model("397b").vision
    assert tower is not None
    usage = ask(endpoint, message("Hi", png(*size)), max_tokens=1).usage
    without = ask(endpoint, {"role": "user", "content": "Hi"}, max_tokens=1).usage
    tokens = tower.image_tokens(*size)
    assert usage.prompt_tokens_details.image_tokens == tokens
    assert usage.prompt_tokens - without.prompt_tokens == tokens + 2
    assert usage.prompt_tokens_details.cached_tokens == 0
    assert without.prompt_tokens_details is None


def test_the_cost_told_before_is_the_cost_charged_after(endpoint: Endpoint) -> None:
    parts = [image(drawings.chart(), max_pixels=300_000), image(png(500, 900))]
    usage = ask(endpoint, message("?", *parts), max_tokens=1).usage
    assert usage.prompt_tokens_details.image_tokens == sum(part.tokens for part in parts)


def test_a_picture_in_an_earlier_turn_is_paid_for_again(endpoint: Endpoint) -> None:
    turns = [message("Hi", png(64, 64)), {"role": "assistant", "content": "Hello."}]
    usage = ask(endpoint, *turns, {"role": "user", "content": "And?"}, max_tokens=1).usage
    assert usage.prompt_tokens_details.image_tokens == 64


def test_a_video_is_counted_row_by_row(endpoint: Endpoint) -> None:
    part = video(drawings.clip())
    assert part.cost is not None
    usage = ask(endpoint, message("Hi", part), max_tokens=1).usage
    without = ask(endpoint, {"role": "user", "content": "Hi"}, max_tokens=1).usage
    assert usage.prompt_tokens_details.video_tokens == part.tokens
    stamps = sum(len(vocabulary().encode(f"<{t:.1f} seconds>")) for t in part.cost.times_s)
    around = 2 + 2 * len(part.cost.times_s)
    assert usage.prompt_tokens - without.prompt_tokens == part.tokens + stamps + around


def test_a_picture_that_does_not_fit_the_context_is_refused(endpoint: Endpoint) -> None:
    out = io.BytesIO()
    Image.new("1", (4096, 4096)).save(out, "PNG")
    huge: list[dict[str, Any]] = [picture(as_url(out.getvalue()))] * 16
    with pytest.raises(openai.BadRequestError, match="longer than the model's context"):
        ask(endpoint, {"role": "user", "content": huge})


def test_pictures_stand_in_the_prompt_where_they_were_put() -> None:
    content = [{"type": "text", "text": "a"}, picture("x"), {"type": "text", "text": "b"}]
    text = render([{"role": "user", "content": content}], media=["<|image_pad|>"])
    assert "user\na<|image_pad|>b<|im_end|>" in text


# --- how long it takes


class Waiting:
    """A generation that notes when its first token is due."""

    rid = "one"

    def __init__(self) -> None:
        self.due_s = asyncio.get_running_loop().create_future()

    def prepare(self, tokens: int, finished: bool, due_s: float) -> None:
        if not self.due_s.done():
            self.due_s.set_result(due_s)

    def deliver(self, due_s: float) -> None:
        pass

    def abort(self) -> None:
        pass


async def first_token_s(image_tokens: int, images: int) -> float:
    """Scheduler seconds from the request to its first token."""
    engine, one, arrived_s = Engine(Scheduler.of(B200), Clock(200)), Waiting(), monotonic()
    serving = asyncio.create_task(engine.run())
    engine.submit(one, 4000, 5, True, arrived_s, image_tokens, images)
    wait_s = engine.clock.at_s(await one.due_s) - engine.clock.at_s(arrived_s)
    serving.cancel()
    return wait_s


@pytest.mark.parametrize(("tokens", "images"), [(880, 1), (1760, 2), (3520, 1)])
def test_the_first_token_waits_for_the_vision_tower(tokens: int, images: int) -> None:
    async def scenario() -> float:
        return await first_token_s(tokens, images) - await first_token_s(0, 0)

    tower_s = Scheduler.of(B200).speed.vision_s(tokens, images)
    assert tower_s > 0
    assert asyncio.run(scenario()) == pytest.approx(tower_s, rel=1e-3)


def test_a_request_hands_its_pictures_to_the_scheduler(monkeypatch: pytest.MonkeyPatch) -> None:
    """Through the app, up to the scheduler: tokens and number of pictures."""
    seen: list[Request] = []
    submit = Scheduler.submit

    def noted(self: Scheduler, request: Request) -> None:
        seen.append(request)
        submit(self, request)

    monkeypatch.setattr(Scheduler, "submit", noted)
    twin = Twin("b200x8", speed=500)
    body = {"messages": [message("Hi", png(64, 64), png(1280, 720))], "max_tokens": 1}
    with TestClient(app(twin), base_url="http://127.0.0.1") as client:
        assert client.post("/v1/chat/completions", json=body).status_code == 200
    (request,) = seen
    assert (request.image_tokens, request.images) == (64 + 880, 2)
    assert request.input_tokens > request.image_tokens


# --- what is said


def test_its_own_drawing_gets_its_authored_answer(endpoint: Endpoint) -> None:
    about = message(DESCRIBE, drawings.geometry())
    assert author(endpoint, about) == "authored"
    answer = ask(endpoint, about)
    assert "four corners" in said(answer)
    assert answer.choices[0].message.reasoning_content.startswith("A detailed description")


def test_a_capped_drawing_is_still_known(endpoint: Endpoint) -> None:
    small = image(drawings.chart(), max_pixels=100_000)
    assert '"Fri": 75' in said(
        ask(endpoint, message("Read the value of every bar. Answer with JSON only.", small))
    )


def test_two_pictures_are_told_apart_by_their_order(endpoint: Endpoint) -> None:
    question = "What is different between these two images?"
    four, three = drawings.geometry(), drawings.geometry(3)
    assert "missing in the second image" in said(ask(endpoint, message(question, four, three)))
    assert author(endpoint, message(question, three, four)) == "notice"


def test_a_video_and_its_frames_get_the_same_answer(endpoint: Endpoint) -> None:
    part = video(drawings.clip())
    question = "What happens in this video, and when?"
    answers = {said(ask(endpoint, message(question, *show))) for show in ([part], part.frames(6))}
    assert len(answers) == 1
    assert "2.5 seconds" in answers.pop()


def test_a_question_may_come_a_turn_later(endpoint: Endpoint) -> None:
    turns = [
        message(DESCRIBE, drawings.geometry()),
        {"role": "assistant", "content": "A square with circles."},
    ]
    later = ask(endpoint, *turns, {"role": "user", "content": "How many circles are there?"})
    assert "**4**" in said(later)
    other = ask(endpoint, *turns, {"role": "user", "content": "What is 15% of 240?"})
    assert "36" in said(other)


@pytest.mark.parametrize(
    ("shown", "question"),
    [
        (png(800, 600), DESCRIBE),
        (drawings.chart({"Mon": 3, "Tue": 9}), "Which day was the busiest?"),
        (drawings.chart(), "What colour is the sky?"),
        (drawings.geometry(3), DESCRIBE),
    ],
    ids=["a stranger", "other values", "a question nobody answered", "for another drawing"],
)
def test_anything_else_gets_size_cost_and_the_line_that_it_does_not_see(
    endpoint: Endpoint, shown: Any, question: str
) -> None:
    about = message(question, shown)
    part = image(shown)
    assert author(endpoint, about) == "notice"
    answer = said(ask(endpoint, about))
    assert "does not see" in answer
    assert f"{part.width:,} × {part.height:,} pixels, {part.tokens:,} tokens" in answer


def test_a_text_question_stays_a_text_question(endpoint: Endpoint) -> None:
    content = [{"type": "text", "text": "What is 15% of 240?"}]
    assert "36" in said(ask(endpoint, {"role": "user", "content": content}))


# --- what is refused, as SGLang words it

LOADING = "An exception occurred while loading IMAGE data at index 0: Error while loading data "


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("data:image/png;base64,AAAA", "Could not decode image: cannot identify image file"),
        ("data:image/png;base64,@@", "Non-base64 digit found"),
        ("data:nonsense", "not enough values to unpack (expected 2, got 1)"),
        (as_url(png(300, 300)[:90]), "Could not decode image"),
    ],
)
def test_what_cannot_be_opened(endpoint: Endpoint, url: str, says: str) -> None:
    told = refusal(endpoint, picture(url))
    assert told.startswith(f"{LOADING}ImageData(url='{url[:40]}")
    assert says in told


def test_a_strip_is_refused_in_the_processors_words(endpoint: Endpoint) -> None:
    told = refusal(endpoint, picture(as_url(png(3000, 10))))
    assert told == "absolute aspect ratio must be smaller than 200, got 300.0"


def test_the_second_picture_is_named_by_its_place(endpoint: Endpoint) -> None:
    parts = [picture(as_url(png(64, 64))), picture("data:image/png;base64,AAAA")]
    with pytest.raises(openai.BadRequestError, match="IMAGE data at index 1"):
        ask(endpoint, {"role": "user", "content": parts})


def test_a_bomb_does_not_go_off_in_the_twin(endpoint: Endpoint) -> None:
    out = io.BytesIO()
    Image.new("1", (20_000, 20_000)).save(out, "PNG")
    assert "bomb" in refusal(endpoint, picture(as_url(out.getvalue())))


@pytest.mark.parametrize("url", ["file:///etc/hostname", "/etc/hostname"])
def test_no_file_of_the_machine_is_opened(endpoint: Endpoint, url: str) -> None:
    assert "does not serve files" in refusal(endpoint, picture(url))


def test_a_video_it_has_no_decoder_for_is_refused_and_a_broken_one_too(endpoint: Endpoint) -> None:
    def film(data: bytes) -> dict[str, Any]:
        return {"type": "video_url", "video_url": {"url": as_url(data)}}

    assert "no decoder" in refusal(endpoint, film(b"\0\0\0\x20ftypisom" + b"\0" * 20))
    broken = avi.write(drawings.clip().film)[:300]
    assert "VIDEO data at index 0" in refusal(endpoint, film(broken))
    assert "Could not decode video" in refusal(endpoint, film(b"AAAA"))


@pytest.mark.parametrize(
    "part",
    [
        {"type": "image_url"},
        {"type": "image_url", "image_url": "http://somewhere/x.png"},
        {"type": "image_url", "image_url": {"url": 5}},
        {"type": "smell", "smell": {}},
    ],
)
def test_a_part_of_the_wrong_form_is_a_validation_error(
    endpoint: Endpoint, part: dict[str, Any]
) -> None:
    assert "validation error" in refusal(endpoint, part)
