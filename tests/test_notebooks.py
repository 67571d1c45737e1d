"""What every committed lesson keeps to. That its cells run is for nbval, in the same run."""

import base64
import json
import re

import nbformat
import pytest
from lesson_outputs import MOST_LINES, figures_without_a_kind, long_printouts

from kit.course.lessons import lessons, parameters
from kit.course.pictures import KEY, MOST_BYTES, drawn_from, is_picture, without_pictures, written

LESSONS = {lesson.stem: lesson for lesson in lessons()}
EVERY = pytest.mark.parametrize("name", LESSONS)
CHECKED = "nbval-check-output"


def read(name):
    return nbformat.read(LESSONS[name], as_version=4)


def code(name):
    return [cell for cell in read(name).cells if cell.cell_type == "code"]


def prose(name):
    return [cell.source for cell in read(name).cells if cell.cell_type == "markdown"]


@EVERY
def test_a_cell_is_at_most_twelve_lines(name):
    longest = max(code(name), key=lambda cell: len(cell.source.splitlines()))
    assert len(longest.source.splitlines()) <= 12, longest.source


@EVERY
def test_it_has_a_parameters_cell_with_a_comment_a_line(name):
    (cell,) = [c for c in code(name) if "parameters" in c.metadata.get("tags", [])]
    assert all("#" in line for line in cell.source.splitlines())
    assert parameters(LESSONS[name])


@EVERY
def test_a_checked_cell_keeps_its_output_and_count(name):
    for cell in code(name):
        if CHECKED in cell.metadata.get("tags", []):
            assert cell.outputs, f"nbval would compare nothing: {cell.source}"
            assert cell.execution_count, cell.source


@EVERY
def test_other_cells_carry_their_figures_as_small_pictures_and_nothing_else(name):
    for cell in code(name):
        if CHECKED in cell.metadata.get("tags", []):
            continue
        assert bool(cell.execution_count) == bool(cell.outputs), cell.source
        assert all(map(is_picture, cell.outputs)), f"stale output: {cell.source}"
        assert len(cell.outputs) == len(cell.metadata.get(KEY, {}).get("figures", []))
        for output in cell.outputs:
            assert len(base64.b64decode(output.data["image/png"])) <= MOST_BYTES
            assert re.search("computed|simulated|published|measured", output.data["text/plain"])


@EVERY
def test_pictures_come_from_the_code_as_it_stands(name):
    cells = read(name).cells
    for index, cell in enumerate(cells):
        if drawn := cell.metadata.get(KEY):
            assert drawn["code"] == drawn_from(cells, index), f"make outputs: {cell.source}"


def test_a_copy_to_work_in_starts_without_pictures():
    node = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("figure")])
    blank = written(node)
    cell = node.cells[0]
    cell.outputs = [nbformat.v4.new_output("display_data", {"image/png": "", "text/plain": "a"})]
    cell.execution_count = 1
    cell.metadata[KEY] = {"code": drawn_from(node.cells, 0), "figures": ["0"]}
    assert without_pictures(written(node)) == blank


@EVERY
def test_no_two_fields_for_a_guess_have_the_same_label(name):
    calls = re.findall(
        r"kit\.guess\((.*?)\)\n", "\n".join(c.source + "\n" for c in code(name)), re.S
    )
    labels = [label for call in calls for label in re.findall(r'"(.*?)"', call)]
    assert len(labels) == len(set(labels))


@EVERY
def test_it_carries_no_widget_state(name):
    assert "widgets" not in read(name).metadata


@EVERY
def test_it_opens_with_title_aims_minutes_and_a_picture_or_output_soon(name):
    first = prose(name)[0]
    assert re.match(rf"# {name[:2]} · ", first)
    assert "**You will be able to**" in first
    assert re.search(r"\*\d+ minutes", first)


@EVERY
def test_its_head_says_which_earlier_lessons_it_needs(name):
    found = re.search(r"\*\d+ minutes .* Needs ([^.]*)\.", prose(name)[0])
    needed = re.findall(r"\d\d", found[1])
    assert needed or name.startswith("00"), found[1]
    assert all(number < name[:2] for number in needed)


@EVERY
def test_it_closes_with_exercises_and_key_points(name):
    text = "\n".join(prose(name))
    assert "## Exercises" in text
    assert "## Key points" in text
    assert "**Next:**" in text
    assert sum("check(" in cell.source for cell in code(name)) >= 3


@EVERY
def test_every_picture_has_alt_text_and_is_there(name):
    for alt, target in re.findall(r"!\[(.*?)\]\((.*?)\)", "\n".join(prose(name)), re.S):
        assert len(alt) > 20, target
        assert (LESSONS[name].parent / target).is_file(), target


@EVERY
def test_it_is_written_as_jupyter_writes_it(name):
    text = LESSONS[name].read_text()
    assert text == json.dumps(json.loads(text), indent=1, ensure_ascii=False, sort_keys=True) + "\n"


@EVERY
def test_a_prediction_is_the_readers_and_its_result_stands_beside_it(name):
    """The next lines answer it: nothing is guessed for the reader."""
    text = "\n".join(cell.source for cell in code(name))
    for guess in re.findall(r"^(\w+) = kit\.guess\(", text, re.M):
        assert re.search(rf"\b{guess}\.beside\(", text), guess
    assert not re.search(r"^guess\w*( =|,)(?! kit\.guess)", text, re.M)


@EVERY
def test_what_it_saved_is_short_and_says_its_kind(name):
    """Of an executed lesson the same is asked in tests/site."""
    assert not list(long_printouts(read(name)))
    assert not list(figures_without_a_kind(read(name)))


def test_a_long_printout_and_a_figure_without_a_kind_are_found():
    def ran(source, *printed, **data):
        outputs = [nbformat.v4.new_output("stream", text=text) for text in printed]
        outputs += [nbformat.v4.new_output("display_data", data=data)] if data else []
        cell = nbformat.v4.new_code_cell(source, outputs=outputs)
        return nbformat.v4.new_notebook(cells=[cell])

    assert list(long_printouts(ran("a", "1\n" * (MOST_LINES + 1))))
    assert not list(long_printouts(ran("a", *["word "] * 40)))
    assert not list(long_printouts(ran("a", **{"text/html": "x", "text/plain": "1\n" * 40})))
    assert list(figures_without_a_kind(ran("a", "weights: 806.8 GB")))
    assert list(
        figures_without_a_kind(ran("a", **{"application/vnd.plotly.v1+json": {"layout": {}}}))
    )
    assert not list(figures_without_a_kind(ran("a", "weights: 806.8 GB (computed ¹)")))
    assert not list(figures_without_a_kind(ran("check(1)", "weights: 806.8 GB")))
