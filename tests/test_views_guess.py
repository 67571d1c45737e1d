"""A prediction is the learner's: blank until he types, read in any spelling, beside the result."""

import subprocess
import sys

import nbformat
import pytest
from nbclient import NotebookClient

import kit
from kit.errors import InvalidValue
from kit.provenance import simulated
from kit.views.widgets.guess import BLANK, UNREADABLE, Guess, read_number, verdict

TWIN = simulated("twin of h200x8")


@pytest.mark.parametrize(
    ("text", "question", "number"),
    [
        ("1,000", "", 1000),
        ("1 000", "", 1000),
        ("1_000", "", 1000),
        ("1.000.000", "", 1_000_000),
        ("1,234.5", "", 1234.5),
        ("1.234,5", "", 1234.5),
        ("0,125", "", 0.125),
        (".5", "", 0.5),
        ("1k", "", 1000),
        ("~1.5k tokens", "how many tokens?", 1500),
        ("1e3", "", 1000),
        ("1/16", "what share?", 0.0625),
        ("50 %", "what share?", 0.5),
        ("50", "what share?", 0.5),
        ("50%", "of a hundred, in %", 50),
        ("190 ms", "TTFT, in ms", 190),
        ("17 B", "parameters, in billions", 17),
        ("17 billion", "how many parameters?", 17e9),
        ("4x", "by what factor?", 4),
        ("1.6 s", "TTFT, in ms", None),
        ("many", "", None),
        ("10-20", "", None),
        ("1.2.3", "", None),
        ("1/0", "", None),
        ("1e999", "", None),
        ("", "", None),
    ],
)
def test_a_number_is_read_in_any_reasonable_spelling(text, question, number):
    assert read_number(text, question) == (None if number is None else pytest.approx(number))


def test_a_guess_is_judged_in_a_word_or_a_factor():
    assert verdict("", 190) == ""
    assert verdict("190", 190.4) == "spot on"
    assert verdict("200", 190) == "close, a little high"
    assert verdict("100", 190) == "1.9 times too low"
    assert verdict("19,000", 190) == "100 times too high"
    assert verdict("-3", 190) == "too low"
    assert verdict("0", 0) == "spot on"
    assert verdict("5", 0) == "too high"
    assert verdict("half", 0.5) == UNREADABLE
    assert verdict("4", "4.4 %", "in %") == "close, a little low"
    assert verdict("4", None) == ""


def test_a_blank_guess_says_not_yet_and_the_result_stands_beside_it():
    guess = Guess(("TTFT, in ms", "output, in tokens/s"))
    assert str(guess) == f"TTFT, in ms: {BLANK}; output, in tokens/s: {BLANK}"
    table = guess.beside(212.4, 173, provenance=TWIN, published=(190, None), source="cookbook")
    assert [row[1:] for row in table.table().rows] == [
        (BLANK, "212", "190"),
        (BLANK, "173", "–"),
    ]
    guess.write(0, "100")
    assert table.table().rows[0][1:] == ("100", "212", "190", "2.1 times too low")
    assert guess.numbers == (100, None)
    for text in table.bundle().values():
        assert "simulated · twin of h200x8; published · cookbook" in text


def test_what_is_typed_cannot_draw_anything():
    guess = Guess(("how many?",))
    guess.write(0, "<img src=x onerror=alert(1)> $x$")
    bundle = guess.beside(3, provenance=TWIN).bundle()
    assert "<img" not in bundle["text/html"] + bundle["text/markdown"]
    assert UNREADABLE in bundle["text/plain"]


def test_figures_are_one_for_each_question_and_have_a_source():
    guess = Guess(("a", "b"))
    with pytest.raises(InvalidValue, match="1 figures for 2"):
        guess.beside(1, provenance=TWIN)
    with pytest.raises(InvalidValue, match="source"):
        guess.beside(1, 2, provenance=TWIN, published=(1, 2))
    with pytest.raises(InvalidValue, match="no question"):
        Guess(())


def test_a_field_has_its_question_as_its_label_and_what_is_typed_is_kept():
    guess = Guess(("TTFT, in ms", "output, in tokens/s"))
    first, second, _ = guess.fields().children
    assert (first.description, second.description) == guess.questions
    assert first.placeholder == BLANK
    first.value = "190"
    assert guess.texts == ["190", ""]


CELLS = (
    "import kit, kit.provenance as p\n"
    "kit.guess('TTFT, in ms').beside(1, provenance=p.simulated('twin x'))",
    "from kit.views.figure import FigureTable\n"
    "table = FigureTable('One.', ('a',), (('b',),), p.simulated('twin x'))\n"
    "print(table.provenance.short)\ntable",
    "kit.fold('All of it', table)",
    "kit.fold('Lines', '<b>1</b>')",
    "print(p.measured('there').short)\nprint(p.measured('there').short)",
)


@pytest.fixture(scope="module")
def outputs():
    """What each of CELLS shows without a reader; the second is run twice."""
    node = nbformat.v4.new_notebook()
    node.cells = [nbformat.v4.new_code_cell(cell) for cell in (*CELLS, CELLS[0])]
    NotebookClient(node, kernel_name="python3", timeout=60).execute()
    return ["\n".join(str(o.get("text") or o.data) for o in cell.outputs) for cell in node.cells]


def test_without_a_reader_a_guess_stays_blank_and_draws_no_widget(outputs):
    assert "Your guess: TTFT, in ms: not yet" in outputs[0]
    assert "widget" not in outputs[0]


def test_a_source_is_in_full_once_and_again_where_its_cell_runs_again(outputs):
    full = "simulated ¹ · twin x"
    assert full in outputs[0]
    assert full in outputs[5]
    assert "simulated ¹" in outputs[1]
    assert full not in outputs[1]
    assert "simulated · twin x" in outputs[1], "the full text is behind a click"
    assert outputs[4].strip().splitlines() == ["measured ² · there", "measured ²"]


def test_a_fold_hides_what_it_holds_under_its_title(outputs):
    assert "<details><summary>All of it</summary><p>One." in outputs[2]
    assert "<pre>&lt;b&gt;1&lt;/b&gt;</pre>" in outputs[3]
    assert str(kit.fold("Lines", "1\n2")) == "Lines\n1\n2"


def test_in_a_script_nothing_is_drawn_and_a_source_is_in_full():
    code = "import kit.provenance as p, kit; print(kit.guess('x')); print(p.computed('y').short)"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert said.stdout == "x: not yet\ncomputed · y\n"
