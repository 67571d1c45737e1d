import json
import re

import nbformat
import pytest

from kit.course.lessons import assignment, find, lessons, parameters, run
from kit.errors import InvalidValue, LessonError, UnknownName


def notebook(folder, name, *cells):
    node = nbformat.v4.new_notebook()
    node.metadata["kernelspec"] = {
        "name": "python3",
        "display_name": "Python 3",
        "language": "python",
    }
    for source in cells:
        cell = nbformat.v4.new_code_cell(source)
        if "speed =" in source:
            cell.metadata["tags"] = ["parameters"]
        node.cells.append(cell)
    path = folder / f"{name}.ipynb"
    nbformat.write(node, path)
    return path


def test_lessons_are_found_by_number_and_name():
    first = lessons()[0]
    assert find("0") == find("00") == find(first.name) == first


def test_an_unknown_lesson_names_those_there_are():
    with pytest.raises(UnknownName, match="00_start_here"):
        find("startt_here")


def test_a_run_leaves_the_notebook_and_a_page(tmp_path):
    lesson = notebook(tmp_path, "00_a", "speed = 1", "print(speed * 21)")
    said = []
    (done,) = run([lesson], tmp_path / "out", {"speed": 2}, say=said.append)
    assert done.error == ""
    assert "42" in done.page.read_text()
    executed = nbformat.read(done.notebook, as_version=4)
    assert any("42" in o.get("text", "") for c in executed.cells for o in c.get("outputs", []))
    assert len(said) == 2


def test_a_page_links_pages_that_lie_beside_it_and_files_where_they_are(tmp_path):
    lesson = notebook(tmp_path, "00_a", "speed = 1")
    other = notebook(tmp_path, "01_b", "speed = 1")
    node = nbformat.read(lesson, as_version=4)
    links = "[b](01_b.ipynb) [c](02_c.ipynb) [t](glossary.md#TTFT) [w](https://example.org/a.md)"
    node.cells.append(nbformat.v4.new_markdown_cell(links))
    nbformat.write(node, lesson)
    done, _ = run([lesson, other], tmp_path / "out", say=lambda _: None)
    found = re.findall(r'<a href="([^#][^"]*)"', done.page.read_text(encoding="utf-8"))
    beside = ["01_b.html", "../02_c.ipynb", "glossary.html#TTFT", "https://example.org/a.md"]
    assert found == beside
    assert 'id="TTFT"' in (tmp_path / "out" / "glossary.html").read_text(encoding="utf-8")


def test_a_failing_cell_is_named_and_the_next_lesson_still_runs(tmp_path):
    bad = notebook(tmp_path, "00_bad", "speed = 1", "1 / 0")
    good = notebook(tmp_path, "01_good", "speed = 1")
    first, second = run([bad, good], tmp_path / "out", say=lambda _: None)
    assert "cell 1" in first.error
    assert "ZeroDivisionError" in first.error
    assert second.error == ""


def test_a_mistyped_parameter_ends_it_before_anything_runs(tmp_path):
    lesson = notebook(tmp_path, "00_a", "speed = 1")
    with pytest.raises(LessonError, match="speed"):
        run([lesson], tmp_path / "out", demanded={"spede": 2}, say=lambda _: None)
    assert not (tmp_path / "out").exists()


def test_options_go_only_to_lessons_that_take_them(tmp_path):
    lesson = notebook(tmp_path, "00_a", "speed = 1")
    assert parameters(lesson) == {"speed": "1"}
    (done,) = run([lesson], tmp_path / "out", {"url": "http://x"}, say=lambda _: None)
    assert done.error == ""


def test_parameters_from_the_command_line_are_json_or_text():
    assert assignment("speed=4") == ("speed", 4)
    assert assignment("profile=h200x8") == ("profile", "h200x8")
    with pytest.raises(InvalidValue):
        assignment("speed")


def test_plots_become_html_and_bring_the_library_once():
    from kit.views.html_export import PLOTLY_MIME, with_live_plots

    figure = {"data": [{"type": "bar", "y": [1, 2]}], "layout": {}}
    node = nbformat.v4.new_notebook()
    for _ in range(2):
        cell = nbformat.v4.new_code_cell("fig")
        cell.outputs = [nbformat.v4.new_output("display_data", {PLOTLY_MIME: figure})]
        node.cells.append(cell)
    pages = [c.outputs[0].data["text/html"] for c in with_live_plots(node).cells]
    assert len(pages[0]) > 1_000_000 > len(pages[1])
    assert PLOTLY_MIME in node.cells[0].outputs[0].data
    assert json.dumps(figure["data"][0]["y"]).replace(" ", "") in pages[1].replace(" ", "")
