"""The course's questions with their short answers, and questions that lie beyond them."""

from __future__ import annotations

from random import Random

from pocket.data.dialogue import Dialogue, user
from pocket.data.words import Split, invented, phrases, pick, share, table


def _asks() -> tuple[str, ...]:
    return tuple(table("lessons")["ask"])


def authored() -> tuple[Dialogue, ...]:
    """Each whole prompt of the lessons once with thinking and once without: all were trained on."""
    return tuple(
        _dialogue("lesson", lesson, prompt, thinking)
        for lesson in table("lessons")["lesson"]
        for prompt in lesson["prompts"]
        for thinking in (True, False)
    )


def lesson(r: Random, split: Split, thinking: bool, tools_offered: bool = False) -> Dialogue:
    """A question of the course: in training as the lessons ask it or in other words. With tools
    on offer, none that asks for one."""
    lessons = [x for x in table("lessons")["lesson"] if not (tools_offered and x.get("needs_tool"))]
    if split == "train" and r.random() < 0.7:
        chosen, prompt = r.choice([(x, prompt) for x in lessons for prompt in x["prompts"]])
        return _dialogue("lesson", chosen, prompt, thinking)
    chosen = r.choice([x for x in lessons if x["names"]])
    prompt = r.choice(share(_asks(), split)).format(name=r.choice(chosen["names"]))
    return _dialogue("lesson, other words", chosen, prompt, thinking)


def beyond(r: Random, split: Split, thinking: bool) -> Dialogue:
    """A question that the model was not made for, and its honest answer."""

    def thing() -> str:
        if r.random() < 0.3:
            return invented(r, split)
        return str(r.choice(share(phrases("beyond", "things"), split)))

    ask = r.choice(share(phrases("beyond", "ask"), split)).format(
        t=thing(),
        u=thing(),
        c=pick(r, "cities", split),
        d=pick(r, "cities", split),
        p=pick(r, "people", split),
        y=r.randrange(1900, 2030),
    )
    return _dialogue("beyond", table("lessons")["decline"], ask, thinking)


def _dialogue(kind: str, lesson: dict[str, str], prompt: str, thinking: bool) -> Dialogue:
    reason, answer = lesson["thinking"], lesson["answer"]
    return Dialogue(kind, (user(prompt),), reason, answer, answer, thinking)
