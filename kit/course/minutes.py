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
EXERCISE_S = 180
FUNCTION_S = 360  # an exercise whose answer is a function
RECORD = "recorded/lesson_seconds.json"
ROOT = NOTEBOOKS.parent


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
    """What a headless run recorded of one section: seconds of its cells, figures drawn."""

    seconds: float
    figures: int


def sections(lesson: Path, ran: dict[str, Ran]) -> list[Section]:
    """The lesson by its `##` headings; what stands before the first is "Start"."""
    found = []
    for title, cells in _by_heading(_cells(lesson)):
        prose = "".join(cell.source for cell in cells if cell.cell_type == "markdown")
        code = [cell.source for cell in cells if cell.cell_type == "code"]
        has = ran.get(title, Ran(0, 0))
        lines = sum(len(source.splitlines()) for source in code)
        words = len(re.sub(r"\]\([^)]*\)", "]", prose).split())
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
            title: asdict(Ran(round(sum(map(_ran_s, cells)), 1), sum(map(_figures, cells))))
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


def rewritten(text: str, stem: str) -> str:
    """README's or a lesson's text with the minutes of the lesson `stem` brought up to date."""
    now = minutes(next(lesson for lesson in lessons() if lesson.stem == stem))
    text = re.sub(
        rf"^(\| \d\d \| \[{stem[3:]}\]\(.+?\) \|) \d+ \|", rf"\1 {now} |", text, flags=re.M
    )
    return re.sub(rf"(# {stem[:2]} · .*?\*)\d+ minutes", rf"\g<1>{now} minutes", text, flags=re.S)


def _by_heading(cells: Iterable[NotebookNode]) -> Iterator[tuple[str, list[NotebookNode]]]:
    title: str = "Start"
    under: list[NotebookNode] = []
    for cell in cells:
        heading = re.match(r"## (.+)", cell.source) if cell.cell_type == "markdown" else None
        if heading:
            yield title, under
            title, under = heading[1].strip(), []
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
    kinds = ("application/vnd.plotly.v1+json", "image/svg+xml", "image/png",
             "application/vnd.jupyter.widget-view+json")  # fmt: skip
    return sum(
        any(kind in output.get("data", {}) for kind in kinds) for output in cell.get("outputs", ())
    )


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
        for stem in (lesson.stem for lesson in lessons()):
            for path in (ROOT / "README.md", NOTEBOOKS / f"{stem}.ipynb"):
                write_text(path, rewritten(path.read_text(encoding="utf-8"), stem))
    print(table(), end="")


if __name__ == "__main__":
    main()
