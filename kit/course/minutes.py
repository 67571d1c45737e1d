"""How long a lesson takes, section by section: reading, looking, running, predicting, exercises.

    python -m kit.course.minutes                  # the table
    python -m kit.course.minutes --record build   # cell times out of what `kit run` left there
    python -m kit.course.minutes --write          # into the lessons' heads and README.md

Cell times are recorded; the paces are assumptions, and stand below.
"""

from __future__ import annotations

import argparse
import json
import math
import re
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from kit import load_data
from kit.course.lessons import NOTEBOOKS, lessons
from kit.text_file import write_text

if TYPE_CHECKING:
    from nbformat import NotebookNode

WORDS_PER_MINUTE = 150  # new matter; 238 is usual for easy prose (Brysbaert 2019)
LINE_S = 5  # a line of code, read
FIGURE_S = 30  # a figure or a widget, looked at
GUESS_S = 30
SHOWN = 60  # words of an output that one reads, at most
EXERCISE_S = 180
FUNCTION_S = 360  # an exercise whose answer is a function
DRAWN = {
    "application/vnd.plotly.v1+json",
    "application/vnd.jupyter.widget-view+json",
    "image/svg+xml",
    "image/png",
}
RECORD = "recorded/lesson_seconds.json"
ROOT = NOTEBOOKS.parent
README = ROOT / "README.md"


@dataclass(frozen=True)
class Section:
    """What stands under one heading. Times in seconds."""

    title: str
    read_s: float = 0
    run_s: float = 0
    do_s: float = 0  # predictions and exercises

    @property
    def minutes(self) -> float:
        return (self.read_s + self.run_s + self.do_s) / 60


@dataclass(frozen=True)
class Ran:
    """What a headless run recorded of one section: seconds of its cells, figures drawn, words
    printed (of each output the first SHOWN)."""

    seconds: float
    figures: int
    words: int


def sections(lesson: Path, ran: dict[str, Ran]) -> list[Section]:
    """The lesson by its `##` headings; what stands before the first is "Start"."""
    found = []
    for title, cells in _by_heading(_cells(lesson)):
        prose = "".join(cell.source for cell in cells if cell.cell_type == "markdown")
        code = [cell.source for cell in cells if cell.cell_type == "code"]
        has = ran.get(title, Ran(0, 0, 0))
        lines = sum(len(source.splitlines()) for source in code)
        words = has.words + len(re.sub(r"\]\([^)]*\)", "]", prose).split())
        read = words / WORDS_PER_MINUTE * 60 + lines * LINE_S
        read += (has.figures + prose.count("![")) * FIGURE_S
        found.append(Section(title, read, has.seconds, sum(map(_do_s, code))))
    return found


def minutes(lesson: Path) -> int:
    """For the whole lesson, up to the next five."""
    total = sum(s.minutes for s in sections(lesson, recorded()[lesson.stem[:2]]))
    return math.ceil(total / 5) * 5


def recorded() -> dict[str, dict[str, Ran]]:
    """Lesson number → heading → what its cells took, at the twin's own pace."""
    read = load_data.json(RECORD)
    return {
        number: {title: Ran(**one) for title, one in by.items()}
        for number, by in read["lessons"].items()
    }


def record(executed: Path, where: str) -> None:
    """Keep the cell times that papermill noted in executed lessons. `where`: the machine."""
    found = {}
    for lesson in lessons(executed):
        found[lesson.stem[:2]] = {
            title: asdict(
                Ran(
                    seconds=round(sum(map(_ran_s, cells)), 1),
                    figures=sum(map(_figures, cells)),
                    words=sum(map(_words, cells)),
                )
            )
            for title, cells in _by_heading(_cells(lesson))
        }
    text = json.dumps({"where": where, "lessons": found}, indent=1, ensure_ascii=False)
    write_text(Path(str(load_data.path(RECORD))), text + "\n")
    load_data.json.cache_clear()


def table() -> str:
    """Minutes of each lesson, as Markdown."""
    rows = ["| lesson | read | run | do | in all |", "|---|---|---|---|---|"]
    for lesson in lessons():
        parts = sections(lesson, recorded()[lesson.stem[:2]])
        of = [sum(getattr(p, name) for p in parts) / 60 for name in ("read_s", "run_s", "do_s")]
        shown = " | ".join(f"{part:.0f}" for part in of)
        rows.append(f"| {lesson.stem} | {shown} | {minutes(lesson)} |")
    return "\n".join(rows) + "\n"


def lesson_table() -> str:
    """The README's table: each lesson with its minutes and what it is about."""
    rows = ["| | notebook | minutes | what it is about |", "|---|---|---|---|"]
    for lesson in lessons():
        number, name = lesson.stem.split("_", 1)
        about = json.loads(lesson.read_text(encoding="utf-8"))["metadata"]["kit"]["about"]
        link = f"[{name}](notebooks/{lesson.name})"
        rows.append(f"| {number} | {link} | {minutes(lesson)} | {about} |")
    return "\n".join(rows) + "\n"


def readme(text: str) -> str:
    """The README with the table as it is now."""
    return re.sub(r"^\| \| notebook \|(?:.*\n)+?(?=\n)", lambda _: lesson_table(), text, flags=re.M)


def head(text: str, lesson: Path) -> str:
    """A lesson's file with the minutes in its head as they are now."""
    return re.sub(r"\*\d+ minutes · ", f"*{minutes(lesson)} minutes · ", text, count=1)


def _by_heading(cells: Iterable[NotebookNode]) -> Iterator[tuple[str, list[NotebookNode]]]:
    title: str = "Start"
    under: list[NotebookNode] = []
    for cell in cells:
        headings = (
            re.findall(r"^## (.+)", cell.source, re.M) if cell.cell_type == "markdown" else []
        )
        for heading in headings:
            yield title, under
            title, under = heading.strip(), []
        under.append(cell)
    yield title, under


def _cells(lesson: Path) -> list[NotebookNode]:
    import nbformat

    cells: list[NotebookNode] = nbformat.read(lesson, as_version=4).cells
    return cells


def _do_s(source: str) -> float:
    """Predictions and exercises in a cell of code."""
    asked = len(re.findall(r"^\s*(?:\w+ = )?kit\.guess\(|^guess\w* = ", source, re.M))
    tries = len(re.findall(r"^check\(", source, re.M))
    each = FUNCTION_S if re.search(r"^\s*\.\.\.$", source, re.M) else EXERCISE_S
    return asked * GUESS_S + tries * each


def _ran_s(cell: NotebookNode) -> float:
    return float(cell.metadata.get("papermill", {}).get("duration") or 0)


def _figures(cell: NotebookNode) -> int:
    return sum(not DRAWN.isdisjoint(output.get("data", {})) for output in cell.get("outputs", ()))


def _words(cell: NotebookNode) -> int:
    printed = 0
    for output in cell.get("outputs", ()):
        data = output.get("data", {})
        text = output.get("text", data.get("text/markdown", data.get("text/plain", "")))
        if DRAWN.isdisjoint(data):
            printed += min(SHOWN, len(str(text).split()))
    return printed


def main() -> None:
    ask = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    ask.add_argument("--record", type=Path, metavar="DIR", help="take cell times from there")
    ask.add_argument("--where", default="two cores, Linux", help="the machine, for the record")
    ask.add_argument(
        "--write", action="store_true", help="bring the minutes in the texts up to date"
    )
    given = ask.parse_args()
    if given.record:
        record(given.record, given.where)
    if given.write:
        for lesson in lessons():
            write_text(lesson, head(lesson.read_text(encoding="utf-8"), lesson))
        write_text(README, readme(README.read_text(encoding="utf-8")))
    print(table(), end="")


if __name__ == "__main__":
    main()
