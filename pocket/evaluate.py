"""What the exported model can do, on questions that it never saw; greedy, by llama.cpp.

    python -m pocket.evaluate --size small         200 of each kind; 50 prompts on two engines
    python -m pocket.evaluate --size small -n 40   a quick look
    python -m pocket.evaluate --released           of the weights in kit/data/pocket

Writes `evaluation.json` (the rows of the card, with what failed) and `recorded.json` (prompts and
greedy outputs, which the tests hold every engine to) into the export. Of the released weights it
writes nothing, and says whether their card has the same figures.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random
from typing import Any

from kit.intervals import wilson
from kit.pocket import WEIGHTS
from pocket.config import parser, size
from pocket.data.dialogue import Dialogue
from pocket.data.lessons import authored
from pocket.data.offers import COUNTS, Offer, offers, usual
from pocket.data.session import PLAIN, WITH_TOOLS, draw
from pocket.data.tools import possible
from pocket.data.words import phrases
from pocket.engines import LlamaCpp, Transformers

SEED = 11
EXAMPLES = 3
PROMPTS_TO_COMPARE = 50
_ONE, _SEVERAL = (1,), tuple(range(2, max(COUNTS) + 1))
_SOME = f"2 to {max(COUNTS)} tools"


@dataclass(frozen=True)
class Offering:
    """What kinds are told apart by: how many tools are offered, and whether the names of all of
    them begin as usual (None: as they come)."""

    label: str
    counts: tuple[int, ...]
    usual: bool | None = None

    def draw(self, r: Random, kind: str) -> tuple[Offer, ...]:
        """Held-out tools that serve for a kind."""
        while True:
            among = offers(r, "test", r.choice(self.counts))
            named = self.usual in (None, all(map(usual, among)))
            if named and possible(kind, among):
                return among


_OFFERED = (Offering("one tool", _ONE), Offering(_SOME, _SEVERAL))
_TO_CHOOSE = {
    "call": (
        Offering("one tool", _ONE),
        Offering(f"{_SOME}, usual names", _SEVERAL, usual=True),
        Offering(f"{_SOME}, other names", _SEVERAL, usual=False),
    ),
    "action call": _OFFERED,
    "two calls": _OFFERED,
    "no tool fits": _OFFERED,
}
# Right when the result is; others, word for word.
_BY_KEY = ("percent", "15 percent", "follow-up", "sum")


@dataclass(frozen=True)
class Row:
    """One line of the table: what was asked, and how often it was right."""

    name: str
    asked: int
    right: int
    failures: tuple[dict[str, str], ...]

    @property
    def share(self) -> float:
        return self.right / self.asked

    @property
    def interval(self) -> tuple[float, float]:
        """Wilson's 95 % interval of the share."""
        return wilson(self.right, self.asked)


def visible(text: str, thinking: bool) -> str:
    """What comes after thinking; nothing if the thinking never ends."""
    return (text.partition("</think>")[2] if thinking else text).strip()


def is_right(dialogue: Dialogue, text: str) -> bool:
    if dialogue.kind in _BY_KEY:
        return dialogue.key in visible(text, dialogue.thinking)
    return without_working(dialogue, text) == dialogue.key


def without_working(dialogue: Dialogue, text: str) -> str:
    """The answer alone, where the model says first how it comes to it."""
    answer = visible(text, dialogue.thinking)
    worked = not dialogue.thinking and dialogue.answer != dialogue.key
    return answer.partition("\n\n")[2] if worked else answer


def names_the_tool(dialogue: Dialogue, text: str) -> bool:
    """Whether the call goes to the right function, whatever its arguments."""
    wanted = dialogue.key.splitlines()[1]
    return without_working(dialogue, text).splitlines()[1:2] == [wanted]


def questions(kind: str, count: int, offering: Offering | None = None) -> tuple[Dialogue, ...]:
    """Held-out dialogues of a kind, all different, half of them with thinking."""
    r = Random(f"{SEED} {kind} {offering}")
    out: dict[str, Dialogue] = {}
    for attempt in range(20 * count):
        thinking = attempt % 2 == 0
        if offering:
            dialogue = WITH_TOOLS[kind](r, "test", thinking, offering.draw(r, kind))
        else:
            dialogue = draw(r, "test", kind, thinking)
        out.setdefault(dialogue.prompt, dialogue)
        if len(out) == count:
            break
    return tuple(out.values())


def as_asked() -> tuple[Dialogue, ...]:
    """Each prompt of the lessons: with thinking and without, alone and under a system line."""
    system = {"role": "system", "content": phrases("system", "lines")[0]}
    under = (replace(d, messages=(system, *d.messages)) for d in authored())
    return (*authored(), *under)


def rows(complete: Callable[[str], str], count: int) -> Iterator[Row]:
    """The table, line by line as it is worked out."""
    yield _row("lesson, as the course asks it (trained on)", as_asked(), complete)[0]
    for kind in (*PLAIN, *WITH_TOOLS, "repeat"):
        for offering in _TO_CHOOSE.get(kind, ()):
            dialogues = questions(kind, count, offering)
            yield from _tool_rows(kind, f"{kind}, {offering.label}", dialogues, complete)
        if kind not in _TO_CHOOSE:
            name = "lesson, in other words" if kind == "lesson" else kind
            yield _row(name, questions(kind, count), complete)[0]


def _tool_rows(
    kind: str, name: str, dialogues: tuple[Dialogue, ...], complete: Callable[[str], str]
) -> Iterator[Row]:
    """One line; two for calls: whether the tool is the right one, and whether all of it is."""
    row, texts = _row(name, dialogues, complete)
    if kind == "call":
        chosen = [names_the_tool(d, text) for d, text in texts]
        yield Row(f"{name}: the right tool", len(chosen), sum(chosen), ())
        row = Row(f"{name}: exact", row.asked, row.right, row.failures)
    yield row


def _row(
    name: str, dialogues: tuple[Dialogue, ...], complete: Callable[[str], str]
) -> tuple[Row, list[tuple[Dialogue, str]]]:
    texts = [(dialogue, complete(dialogue.prompt)) for dialogue in dialogues]
    wrong = [(d, text) for d, text in texts if not is_right(d, text)]
    failures = tuple(
        {
            "question": str(d.messages[-1]["content"]),
            "wanted": d.key,
            "said": visible(text, d.thinking) or text,
        }
        for d, text in wrong[:EXAMPLES]
    )
    return Row(name, len(texts), len(texts) - len(wrong), failures), texts


def compare(folder: Path, llama: LlamaCpp, count: int) -> tuple[list[dict[str, str]], int]:
    """Prompts with transformers' greedy output, and how many llama.cpp answers identically."""
    reference = Transformers(folder)
    kinds = (*PLAIN, *WITH_TOOLS, "repeat")
    recorded, same = [], 0
    for i in range(count):
        kind = kinds[i % len(kinds)]
        prompt = draw(Random(f"compare {i}"), "test", kind, thinking=i % 4 < 2).prompt
        output = reference.complete(prompt)
        recorded.append({"prompt": prompt, "output": output})
        same += llama.complete(prompt) == output
    return recorded, same


def insist_on_card(done: list[dict[str, Any]], card: list[dict[str, Any]]) -> None:
    """Raises SystemExit where a row that was asked as often as the card's differs from it."""
    counts = {row["name"]: row["asked"] for row in done}
    comparable = [row for row in card if counts.get(row["name"]) == row["asked"]]
    other = [row["name"] for row in comparable if row not in done]
    if other:
        raise SystemExit(f"unlike the card: {', '.join(other)}")
    print(f"as the card has it, failures included: {len(comparable)} of {len(card)} rows")


def save(path: Path, content: Any) -> None:
    path.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n")


def main() -> None:
    arguments = parser(__doc__)
    arguments.add_argument("-n", type=int, default=200, help="questions of each kind")
    what = "the weights in kit/data/pocket, against their card"
    arguments.add_argument("--released", action="store_true", help=what)
    asked = arguments.parse_args()
    folder = WEIGHTS if asked.released else size(asked.size).folder / "export"
    if not (folder / "pocket.json").exists():
        raise SystemExit(f"{folder} holds no model: python -m pocket.export, or --released")
    about = json.loads((folder / "pocket.json").read_text())
    llama = LlamaCpp(folder / about["gguf"], about["context_tokens"])
    done = []
    for row in rows(llama.complete, asked.n):
        low, high = row.interval
        shown = f"{row.share:6.1%}  of {row.asked}  ({low:.0%} to {high:.0%})"
        print(f"{row.name:<45} {shown}", flush=True)
        counts = {"name": row.name, "asked": row.asked, "right": row.right}
        done.append({**counts, "failures": list(row.failures)})
    recorded, same = compare(folder, llama, PROMPTS_TO_COMPARE)
    print(f"transformers and llama.cpp: {same} of {len(recorded)} outputs identical")
    identical = {"prompts": len(recorded), "same": same}
    if asked.released:
        insist_on_card(done, json.loads((folder / "evaluation.json").read_text())["rows"])
        return
    save(folder / "recorded.json", recorded)
    evaluation = {"engine": llama.name, "sha256": about["sha256"], "rows": done}
    save(folder / "evaluation.json", {**evaluation, "identical": identical})


if __name__ == "__main__":
    main()
