"""The exercises' answers as pages, folded: one a lesson, in notebooks/solutions.

python -m kit.course.solutions     # a test compares the pages with the exercises
"""

from __future__ import annotations

from itertools import groupby
from pathlib import Path

from kit.course.check import Exercise, exercises, solution
from kit.course.lessons import NOTEBOOKS, lessons
from kit.text_file import write_text

FOLDER = NOTEBOOKS / "solutions"
_HEAD = """\
# {number} · Solutions

<!-- written by `python -m kit.course.solutions`; a test compares it with the exercises -->

The answers to the exercises of [lesson {number}](../{lesson}), each folded away. In the lesson,
`hint("{first}")` nudges and `solution("{first}")` shows what stands here.
"""
_FOLD = "\n<details>\n<summary>{title}</summary>\n\n{text}\n\n</details>\n"


def pages() -> dict[str, str]:
    """File name → its text, for every lesson that has exercises."""
    files = {lesson.stem[:2]: lesson.name for lesson in lessons()}
    return {
        f"{number}.md": _page(number, files[number], list(group))
        for number, group in groupby(exercises().values(), lambda one: one.name[:2])
    }


def write(folder: Path = FOLDER) -> None:
    """Write every page into `folder`."""
    folder.mkdir(exist_ok=True)
    for name, text in pages().items():
        write_text(folder / name, text)


def _page(number: str, lesson: str, found: list[Exercise]) -> str:
    head = _HEAD.format(number=number, lesson=lesson, first=found[0].name)
    return head + "".join(map(_entry, found))


def _entry(exercise: Exercise) -> str:
    mistakes = "\n".join(f"- {one.explanation}" for one in exercise.mistakes)
    folds = [
        ("A hint", exercise.hint),
        ("The answer", solution(exercise.name).text.strip()),
        ("What the usual wrong answers miss", mistakes),
    ]
    shown = "".join(_FOLD.format(title=title, text=text) for title, text in folds if text)
    return f"\n## {exercise.name}\n\n{exercise.question}\n{shown}"


if __name__ == "__main__":
    write()
