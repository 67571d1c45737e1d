"""A lesson's minutes come from its words, its recorded cell times and its exercises."""

import json
import re

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from kit.course import minutes
from kit.course.lessons import lessons
from kit.course.minutes import Ran, sections


@pytest.fixture
def lesson(tmp_path):
    words = " ".join(["word"] * 149)
    cells = [
        new_markdown_cell("# 42 · A title"),
        new_markdown_cell(f"## Measure\n\n{words}"),
        new_code_cell("a = 1\nb = 2"),
        new_code_cell('guess = kit.guess("how many?")'),
        new_code_cell('answer = ...\ncheck("42-1", answer)'),
        new_code_cell('def stop(text):\n    ...\n\ncheck("42-2", stop)'),
    ]
    path = tmp_path / "42_a.ipynb"
    nbformat.write(new_notebook(cells=cells), path)
    return path


def test_a_section_is_read_run_and_done(lesson):
    start, measure = sections(lesson, {"Measure": Ran(seconds=12, figures=2, words=30)})
    assert (start.title, start.run_s, start.do_s) == ("Start", 0, 0)
    assert measure.run_s == 12
    assert measure.do_s == minutes.GUESS_S + minutes.EXERCISE_S + minutes.FUNCTION_S
    words, lines = 151 + 30, 9
    read = words / minutes.WORDS_PER_MINUTE * 60 + lines * minutes.LINE_S
    assert measure.read_s == pytest.approx(read + 2 * minutes.FIGURE_S)


def test_the_address_of_a_link_is_not_read(tmp_path):
    def words(text):
        path = tmp_path / "42_a.ipynb"
        nbformat.write(new_notebook(cells=[new_markdown_cell(text)]), path)
        return sections(path, {})[0].read_s

    assert words("the [KV cache](glossary.md#KV-cache) of it") == words("the KV cache of it")


def test_cell_times_are_recorded_by_heading(tmp_path, monkeypatch):
    printed = new_output("stream", text="one two three")
    cell = new_code_cell("work()", metadata={"papermill": {"duration": 2.34}}, outputs=[printed])
    cells = [new_markdown_cell("# 42 · A"), new_markdown_cell("## Work"), cell]
    nbformat.write(new_notebook(cells=cells), tmp_path / "42_a.ipynb")
    monkeypatch.setattr(minutes.load_data, "path", lambda name: tmp_path / "record.json")
    minutes.record(tmp_path, "a laptop")
    kept = json.loads((tmp_path / "record.json").read_text())["lessons"]["42"]["Work"]
    assert kept == {"seconds": 2.3, "figures": 0, "words": 3}


@pytest.mark.parametrize("lesson", lessons(), ids=lambda lesson: lesson.stem)
def test_a_lessons_head_says_its_minutes(lesson):
    head = nbformat.read(lesson, as_version=4).cells[0].source
    found = re.search(r"\*(\d+) minutes", head)
    assert int(found[1]) == minutes.minutes(lesson), "python -m kit.course.minutes --write"
