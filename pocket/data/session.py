"""Several dialogues in one sequence of tokens, as the trainer reads them.

The first question of a session stands as it will when served; those after it come for the sake
of speed, since they share the tools' description. Only completions are learnt, not questions.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from random import Random

from pocket.data import lessons, sums, tools
from pocket.data.dialogue import Dialogue, assistant, user
from pocket.data.offers import COUNTS, Offer, offers
from pocket.data.words import LISTS, Split, city, common, glued, invented, phrases, pick, until

Make = Callable[[Random, Split, bool], Dialogue]

PLAIN: dict[str, Make] = {
    "percent": sums.percent,
    "15 percent": sums.fifteen,
    "follow-up": sums.follow_up,
    "sum": sums.small_sum,
    "lesson": lessons.lesson,
    "beyond": lessons.beyond,
}
WITH_TOOLS = {
    "call": tools.call,
    "action call": tools.action_call,
    "two calls": tools.two_calls,
    "no tool fits": tools.no_tool,
    "beyond, with tools": tools.beyond_tools,
    "result": tools.result,
    "two results": tools.two_results,
}
_PLAIN_WEIGHTS = {
    "percent": 20,
    "15 percent": 18,
    "follow-up": 8,
    "sum": 22,
    "lesson": 40,
    "beyond": 14,
}
_ALSO = {"no tool fits": 0.35, "beyond, with tools": 0.25}
_RESULTS = {"result": 3, "two results": 1}


@dataclass(frozen=True)
class Segment:
    text: str
    learnt: bool


def copying(r: Random, split: Split, thinking: bool) -> Dialogue:
    """Words to repeat: what every argument of a call needs, dense enough to be found early."""
    if split == "train" and r.random() < 0.3:
        return _common_words(r, thinking)
    words = r.choice((_known_words, _glued_words, _any_words))(r, split)
    text = " ".join(words)
    ask = r.choice(phrases("repeat", "ask")).format(text=text)
    return Dialogue("repeat", (user(ask),), "I repeat it.", text, text, thinking)


def _common_words(r: Random, thinking: bool) -> Dialogue:
    """Any words that there are, some with a capital, to repeat or to write small.

    Here alone training holds words that are kept for testing: a word that is one entry of the
    vocabulary and never written is one that the model will not write.
    """
    words = [r.choice(common()) for _ in range(r.choice((4, 8, 16, 32)))]
    text = " ".join(word.capitalize() if r.random() < 0.5 else word for word in words)
    form, said = ("lower", text.lower()) if r.random() < 0.5 else ("ask", text)
    ask = r.choice(phrases("repeat", form)).format(text=text)
    return Dialogue("repeat", (user(ask),), "I repeat it.", said, said, thinking)


def _known_words(r: Random, split: Split) -> list[str]:
    """Without any order: nothing but the question tells which comes next."""
    return [pick(r, r.choice(LISTS), split) for _ in range(r.choice((4, 8, 16, 32)))]


def _glued_words(r: Random, split: Split) -> list[str]:
    """Nor what a word goes on with."""
    return [glued(r, split) for _ in range(r.choice((2, 4, 8, 16)))]


def _any_words(r: Random, split: Split) -> list[str]:
    """Invented words, cities and numbers among known ones."""

    def word() -> str:
        match r.randrange(10):
            case 0 | 1:
                return pick(r, "search_words", split)
            case 2 | 3:
                return city(r, split)
            case 4 | 5:
                return str(until(lambda: r.randrange(10 ** r.choice((2, 2, 4))), split))
        return invented(r, split)

    return [word() for _ in range(r.choice((1, 2, 3, 5, 8, 12)))]


def draw(r: Random, split: Split, kind: str, thinking: bool) -> Dialogue:
    """One dialogue of a kind."""
    return {**PLAIN, **WITH_TOOLS, "repeat": copying}[kind](r, split, thinking)


def session(r: Random, copies: float) -> list[Segment]:
    """A few dialogues in a row; `copies` is the share of sessions that only repeat words."""
    if r.random() < copies:
        return _joined([copying(r, "train", r.random() < 0.3) for _ in range(r.choice((2, 3, 4)))])
    if r.random() < 0.18:
        drill = r.choice((sums.drill, tools.drill))
        return _joined([drill(r, r.random() < 0.5) for _ in range(3)])
    dialogues = _plain(r) if r.random() < 0.33 else _with_tools(r)
    if r.random() < 0.15:
        dialogues = [_after(dialogues[:2])]
    if r.random() < 0.15:
        dialogues[0] = _instructed(r, dialogues[0])
    return _joined(dialogues)


def _plain(r: Random) -> list[Dialogue]:
    kinds = r.choices(list(PLAIN), list(_PLAIN_WEIGHTS.values()), k=r.choice((1, 2, 4, 6, 8)))
    return [PLAIN[kind](r, "train", r.random() < 0.6) for kind in kinds]


def _with_tools(r: Random) -> list[Dialogue]:
    """A call of each tool, so that none can be read off a call before; questions for no tool
    among them; then what tools have answered."""
    among = offers(r, "train", r.choice(COUNTS))
    out = [_call(r, among, offer) for offer in among]
    if r.random() < 0.3:
        out.append(_call(r, among, r.choice(among)))
    for kind, share in _ALSO.items():
        if r.random() < share:
            out.append(WITH_TOOLS[kind](r, "train", r.random() < 0.6, among))
    if r.random() < 0.1:
        other = lessons.lesson(r, "train", r.random() < 0.6, tools_offered=True)
        out.append(replace(other, tools=out[0].tools))
    r.shuffle(out)
    kinds = [kind for kind in _RESULTS if tools.possible(kind, among)]
    weights = [_RESULTS[kind] for kind in kinds]
    for kind in r.choices(kinds, weights, k=r.choice((0, 1, 1, 2))):
        out.append(WITH_TOOLS[kind](r, "train", r.random() < 0.6, among))
    return out


def _call(r: Random, among: tuple[Offer, ...], offer: Offer) -> Dialogue:
    make = tools.action_call if offer.kind == "action" else tools.call
    if tools.possible("two calls", (offer,)) and r.random() < 0.25:
        make = tools.two_calls
    return make(r, "train", r.random() < 0.6, among, offer)


def _after(dialogues: Sequence[Dialogue]) -> Dialogue:
    """The last question, with those before it answered: what a client sends back of a talk."""
    *before, last = dialogues
    history = [message for one in before for message in (*one.messages, assistant(one.answer))]
    return replace(last, messages=(*history, *last.messages))


def _instructed(r: Random, dialogue: Dialogue) -> Dialogue:
    """The dialogue under a system message."""
    system = {"role": "system", "content": r.choice(phrases("system", "lines"))}
    return replace(dialogue, messages=(system, *dialogue.messages))


def _joined(dialogues: Sequence[Dialogue]) -> list[Segment]:
    out: list[Segment] = []
    for i, dialogue in enumerate(dialogues):
        prompt = dialogue.prompt
        if i:
            prompt = "\n" + prompt[prompt.index("<|im_start|>user") :]
        out += [Segment(prompt, False), Segment(dialogue.completion, True)]
    return out
