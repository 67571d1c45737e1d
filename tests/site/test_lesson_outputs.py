"""What the lessons that `make site` executed show: short, and every figure of a kind."""

import nbformat
import pytest
from lesson_outputs import figures_without_a_kind, long_printouts

from kit.course.lessons import NOTEBOOKS, lessons

BUILD = NOTEBOOKS.parent / "build"
EVERY = pytest.mark.parametrize("name", [lesson.name for lesson in lessons()])


@EVERY
def test_no_printout_is_long(name: str) -> None:
    assert not list(long_printouts(nbformat.read(BUILD / name, as_version=4)))


@EVERY
def test_every_figure_and_text_says_its_kind_or_its_author(name: str) -> None:
    assert not list(figures_without_a_kind(nbformat.read(BUILD / name, as_version=4)))
