"""INSTRUCTOR.md's runs: sections that there are, in the time that there is."""

import pytest

from kit.course import run_sheets
from kit.course.lessons import lessons

SHEETS = run_sheets.sheets()


@pytest.mark.parametrize("sheet", SHEETS, ids=lambda sheet: str(sheet["minutes"]))
def test_it_ends_in_time_with_room_for_questions(sheet):
    spent = sum(map(run_sheets.takes, sheet["parts"]))
    assert 0.8 * sheet["minutes"] <= spent <= 0.97 * sheet["minutes"]


@pytest.mark.parametrize("sheet", SHEETS, ids=lambda sheet: str(sheet["minutes"]))
def test_nobody_sits_longer_than_two_hours(sheet):
    at = 0.0
    for part in sheet["parts"]:
        at = 0.0 if "pause" in part else at + run_sheets.takes(part)
        assert at <= 120, part


def test_the_instructors_page_has_these_tables():
    text = run_sheets.PAGE.read_text(encoding="utf-8")
    assert run_sheets.page(text) == text, "python -m kit.course.run_sheets --write"


def test_the_instructors_page_speaks_of_every_lesson():
    text = run_sheets.PAGE.read_text(encoding="utf-8")
    for lesson in lessons():
        number = lesson.stem[:2]
        (part,) = [one for one in text.split("\n### ") if one.startswith(f"{number} · ")]
        assert "**The point**" in part
        assert "**Say**" in part or "**They ask**" in part
