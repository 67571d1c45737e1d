"""What the exported model can do, on questions that it never saw; greedy, by llama.cpp.

    python -m pocket.evaluate --size small         200 of each kind; 50 prompts on two engines
    python -m pocket.evaluate --size small -n 40   a quick look

Writes `evaluation.json` (the rows of the card, with what failed) and `recorded.json` (prompts and
greedy outputs, which the tests hold every engine to) into the export.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random
from typing import Any

from kit.pocket import wilson
from pocket.config import parser, size
from pocket.data.dialogue import Dialogue
from pocket.data.lessons import authored
from pocket.data.offers import COUNTS, Offer, offers
from pocket.data.session import PLAIN, WITH_TOOLS, draw
from pocket.data.tools import possible
from pocket.data.words import phrases
from pocket.engines import LlamaCpp, Transformers

SEED = 11
EXAMPLES = 3
PROMPTS_TO_COMPARE = 50
# Kinds that are told apart by how many tools are offered.
_TO_CHOOSE = ("call", "action call", "two calls", "no tool fits")
_OFFERED = {"one tool": (1,), f"2 to {max(COUNTS)} tools": tuple(range(2, max(COUNTS) + 1))}
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


def questions(kind: str, count: int, offered: tuple[int, ...] = ()) -> tuple[Dialogue, ...]:
    """Held-out dialogues of a kind, all different, half of them with thinking; with so many tools
    `offered`, where that is given."""
    r = Random(f"{SEED} {kind} {offered}")
    out: dict[str, Dialogue] = {}
    for attempt in range(20 * count):
        thinking = attempt % 2 == 0
        if offered:
            dialogue = WITH_TOOLS[kind](r, "test", thinking, _tools(r, kind, offered))
        else:
            dialogue = draw(r, "test", kind, thinking)
        out.setdefault(dialogue.prompt, dialogue)
        if len(out) == count:
            break
    return tuple(out.values())


def _tools(r: Random, kind: str, counts: tuple[int, ...]) -> tuple[Offer, ...]:
    while not possible(kind, among := offers(r, "test", r.choice(counts))):
        pass
    return among


def as_asked() -> tuple[Dialogue, ...]:
    """Each prompt of the lessons: with thinking and without, alone and under a system line."""
    system = {"role": "system", "content": phrases("system", "lines")[0]}
    under = (replace(d, messages=(system, *d.messages)) for d in authored())
    return (*authored(), *under)


def rows(complete: Callable[[str], str], count: int) -> Iterator[Row]:
    """The table, line by line as it is worked out."""
    yield _row("lesson, as the course asks it (trained on)", as_asked(), complete)[0]
    for kind in (*PLAIN, *WITH_TOOLS, "repeat"):
        if kind in _TO_CHOOSE:
            for label, offered in _OFFERED.items():
                dialogues = questions(kind, count, offered)
                yield from _tool_rows(kind, f"{kind}, {label}", dialogues, complete)
        else:
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


def save(path: Path, content: Any) -> None:
    path.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n")


def main() -> None:
    arguments = parser(__doc__)
    arguments.add_argument("-n", type=int, default=200, help="questions of each kind")
    asked = arguments.parse_args()
    of = size(asked.size)
    folder = of.folder / "export"
    about = json.loads((folder / "pocket.json").read_text())
    llama = LlamaCpp(folder / about["gguf"], about["context_tokens"])
    done = []
    for row in rows(llama.complete, asked.n):
        low, high = row.interval
        shown = f"{row.share:6.1%}  of {row.asked}  ({low:.0%} to {high:.0%})"
        print(f"{row.name:<45} {shown}", flush=True)
        counts = {"name": row.name, "asked": row.asked, "right": row.right}
        done.append({**counts, "failures": row.failures})
    recorded, same = compare(folder, llama, PROMPTS_TO_COMPARE)
    print(f"transformers and llama.cpp: {same} of {len(recorded)} outputs identical")
    identical = {"prompts": len(recorded), "same": same}
    save(folder / "recorded.json", recorded)
    evaluation = {"engine": llama.name, "sha256": about["sha256"], "rows": done}
    save(folder / "evaluation.json", {**evaluation, "identical": identical})


if __name__ == "__main__":
    main()
