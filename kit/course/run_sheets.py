"""How a room goes through the course in two hours, three, or a day: sections and minutes.

python -m kit.course.run_sheets            # the tables
python -m kit.course.run_sheets --write    # into INSTRUCTOR.md, between its markers
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Mapping
from typing import Any

from kit import load_data
from kit.course import minutes
from kit.course.lessons import lessons
from kit.text_file import write_text

SHEETS = "run_sheets.toml"
PAGE = minutes.ROOT / "INSTRUCTOR.md"
ROOM = 1.5  # a room takes half as long again as a reader: talk, questions, laptops
_KEYS = ("lesson", "sections", "exercises", "pause")


def sheets() -> list[dict[str, Any]]:
    """Each with its title, the minutes there are, and its parts."""
    found: list[dict[str, Any]] = load_data.toml(SHEETS)["sheet"]
    for part in (part for sheet in found for part in sheet["parts"]):
        load_data.known_keys(SHEETS, part, _KEYS)
    return found


def takes(part: Mapping[str, Any]) -> float:
    """Minutes of a part in a room: its sections, its exercises, or its pause.

    Raises KeyError for a section that its lesson has not.
    """
    if "pause" in part:
        return float(part["pause"])
    number = part["lesson"]
    (lesson,) = (path for path in lessons() if path.stem.startswith(number))
    by = {s.title: s for s in minutes.sections(lesson, minutes.recorded()[number])}
    practice: float = part.get("exercises", 0) * minutes.EXERCISE_S / 60
    return practice + ROOM * sum(by[title].minutes for title in part["sections"])


def table(sheet: Mapping[str, Any]) -> str:
    """One run as Markdown: from which minute on, what, how long."""
    rows = [
        f"**{sheet['title']}**",
        "",
        "| from | lesson | sections | minutes |",
        "|---|---|---|---|",
    ]
    at = 0.0
    for part in sheet["parts"]:
        what = "pause" if "pause" in part else "; ".join(_sections(part))
        length = takes(part)
        rows.append(f"| {_clock(at)} | {part.get('lesson', '')} | {what} | {length:.0f} |")
        at += length
    rows.append(f"| {_clock(at)} | | questions | {sheet['minutes'] - at:.0f} |")
    return "\n".join(rows) + "\n"


def _clock(at: float) -> str:
    return f"{int(at) // 60}:{int(at) % 60:02}"


def _sections(part: Mapping[str, Any]) -> Iterator[str]:
    yield from (title for title in part["sections"] if title != "Start")
    if count := part.get("exercises", 0):
        yield f"{count} exercise{'s' * (count > 1)}"


def page(text: str) -> str:
    """INSTRUCTOR.md with the tables as they are now."""
    tables = "\n".join(table(sheet) for sheet in sheets())
    between = r"(<!-- run sheets: .*? -->\n).*?(<!-- end -->)"
    return re.sub(between, lambda found: f"{found[1]}\n{tables}\n{found[2]}", text, flags=re.S)


def main() -> None:
    if "--write" in sys.argv[1:]:
        write_text(PAGE, page(PAGE.read_text(encoding="utf-8")))
    print("\n".join(table(sheet) for sheet in sheets()), end="")


if __name__ == "__main__":
    main()
