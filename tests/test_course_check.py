import functools
import inspect
import re
from decimal import Decimal
from fractions import Fraction

import nbformat
import numpy as np
import pytest

from kit.course.check import Exercise, check, exercises, hint, solution
from kit.course.lessons import lessons
from kit.errors import UnknownName

EVERY = pytest.mark.parametrize("name", list(exercises()))


@pytest.fixture(scope="module")
def cells():
    """The code cells that check an exercise, by its name."""
    found = {}
    for lesson in lessons():
        for cell in nbformat.read(lesson, as_version=4).cells:
            for name in re.findall(r'check\("(\d\d-\d)"', cell.source):
                if cell.cell_type == "code":
                    found.setdefault(name, []).append(cell.source)
    return found


def test_every_lesson_has_three_exercises_and_every_exercise_a_cell(cells):
    assert list(cells) == list(exercises())
    for lesson in lessons():
        assert sum(name.startswith(lesson.stem[:2]) for name in exercises()) >= 3, lesson


def imports(number):
    """The import lines of a lesson's code cells."""
    (lesson,) = (one for one in lessons() if one.stem.startswith(number))
    code = [c.source for c in nbformat.read(lesson, as_version=4).cells if c.cell_type == "code"]
    return re.findall(r"^(?:import|from) .*$", "\n".join(code), re.M)


def scope_of(name, cells):
    """What a learner has at hand: the lesson's imports, and the cell but its last line."""
    scope = {}
    exec("\n".join([*imports(name[:2]), *cells[name][0].rstrip().splitlines()[:-1]]), scope)
    return scope


@EVERY
def test_its_blank_cell_runs_and_says_what_form_is_wanted(name, cells):
    (cell,) = cells[name]
    verdict = eval(cell.rstrip().splitlines()[-1], scope_of(name, cells))
    assert (verdict.mark, verdict.right) == ("○", False)
    exercise = exercises()[name]
    assert exercise.form in verdict.text
    assert exercise.cases or exercise.unit
    assert exercise.question not in verdict.text  # it stands in the cell above


@EVERY
def test_the_solution_passes(name):
    assert check(name, exercises()[name].expected()).right
    assert solution(name).text


@EVERY
def test_three_usual_mistakes_each_have_a_hint_of_their_own(name):
    mistakes = exercises()[name].mistakes
    assert len(mistakes) >= 3
    assert len({mistake.explanation for mistake in mistakes}) == len(mistakes)
    for mistake in mistakes:
        verdict = check(name, mistake.answer())
        assert not verdict.right
        assert mistake.explanation in verdict.text


@EVERY
def test_the_solution_shows_the_working_and_no_wall(name):
    text = solution(name).text
    assert max(map(len, text.split())) < 90, "a wall of letters"
    exercise = exercises()[name]
    if isinstance(exercise.expected(), int | float):
        assert f"`{exercise.working()}` = " in text


@pytest.mark.parametrize("name", [n for n, e in exercises().items() if e.cases])
def test_a_function_shown_as_a_solution_runs_in_the_lesson_as_it_stands(name, cells):
    source = solution(name).text.split("```")[1].removeprefix("python\n")
    scope = scope_of(name, cells)
    asked = inspect.signature(list(scope.values())[-1])
    exec(source, scope)
    given = scope[re.search(r"check\(.*, (\w+)\)", cells[name][0])[1]]
    assert inspect.signature(given) == asked
    assert check(name, given).right


@pytest.mark.parametrize("name", [n for n, e in exercises().items() if e.working])
def test_the_working_gives_the_answer_in_the_lesson(name, cells):
    exercise = exercises()[name]
    text = re.sub(r"(?<=\d),(?=\d{3})", "", exercise.working())
    text = text.translate(str.maketrans("×−", "*-"))
    scope = scope_of(name, cells)
    if name == "06-3":  # its solution says which function that is
        exec(exercise.solution.split("`")[1], scope)
    assert exercise.accepts(eval(text, scope))


@EVERY
def test_the_hint_does_not_give_it_away(name):
    from kit.course.check import _shown

    assert _shown(exercises()[name].expected()) not in hint(name).text.split()


def test_an_unknown_exercise_names_the_nearest():
    with pytest.raises(UnknownName):
        check("99-1", 3)


def test_a_number_is_right_within_its_tolerance():
    exercise = Exercise("x", "?", lambda: 100.0, "", "", tolerance=0.05)
    assert exercise.accepts(104)
    assert not exercise.accepts(106)
    assert not exercise.accepts(True)


HUNDRED = Exercise("x", "?", lambda: 100, "", "")
SHARE = Exercise("x", "?", lambda: 0.25, "", "")
LETTERS = Exercise("x", "?", lambda: {"b", "d"}, "", "")
FLAGS = Exercise("x", "?", lambda: {"--node-rank", "--tp-size"}, "", "")
CALLS = Exercise("x", "?", lambda: [("f", {"n": 1}), ("g", {})], "", "")


@pytest.mark.parametrize(
    ("exercise", "answer"),
    [
        (HUNDRED, 100.0),
        (HUNDRED, np.int64(100)),
        (HUNDRED, np.array(100.0)),
        (HUNDRED, Decimal(100)),
        (HUNDRED, Fraction(200, 2)),
        (HUNDRED, " 100 "),
        (HUNDRED, "1e2"),
        (SHARE, np.float32(0.25)),
        (SHARE, Fraction(1, 4)),
        (SHARE, Decimal("0.25")),
        (SHARE, ".25"),
        (LETTERS, ["B", "d"]),
        (LETTERS, ("d", "b")),
        (LETTERS, frozenset("bd")),
        (LETTERS, {"b": 1, "d": 2}.keys()),
        (LETTERS, np.array(["b", "d"])),
        (LETTERS, "b, D"),
        (LETTERS, "db"),
        (FLAGS, "--tp-size --node-rank"),
        (CALLS, (["f", {"n": 1}], ["g", {}])),
    ],
)
def test_an_answer_may_have_any_reasonable_type(exercise, answer):
    assert exercise.accepts(answer)
    assert not exercise.complaint(answer)


@pytest.mark.parametrize(
    ("exercise", "answer", "says"),
    [
        (HUNDRED, "about 100", "a number is wanted, and this is a str"),
        (HUNDRED, "1,00", "a number is wanted, and this is a str"),
        (HUNDRED, "100 GB", "a number is wanted, and this is a str"),
        (HUNDRED, "1" * 5000, "a number is wanted, and this is a str"),
        (HUNDRED, "", "a number is wanted, and this is a str"),
        (HUNDRED, [100], "a number is wanted, and this is a list"),
        (HUNDRED, True, "a number is wanted, and this is a bool"),
        (HUNDRED, len, "a number is wanted, and this is a function"),
        (HUNDRED, np.array([100, 100]), "a number is wanted, and this is a ndarray"),
        (HUNDRED, 1j, "a number is wanted, and this is a complex"),
        (LETTERS, 3, "a set is wanted, and this is an int"),
        (LETTERS, [["b"]], "a set is wanted, and this is a list"),
        (CALLS, {"f": 1}, "a list is wanted, and this is a dict"),
    ],
)
def test_a_wrong_type_is_said(exercise, answer, says):
    assert not exercise.accepts(answer)
    assert says in exercise.complaint(answer)


@pytest.mark.parametrize(
    "answer",
    [
        float("nan"),
        float("inf"),
        10**400,
        Fraction(10**400, 3),
        Decimal("NaN"),
        Decimal("sNaN"),
        Decimal("-inf"),
    ],
)
def test_no_number_is_no_answer(answer):
    assert not HUNDRED.accepts(answer)
    assert not SHARE.accepts(answer)


@pytest.mark.parametrize(
    ("answer", "says"), [(250, "unit"), (0.00025, "unit"), (0.26, "within 5 %"), (0.3, "")]
)
def test_a_number_that_is_nearly_right_is_told_so(answer, says):
    complaint = SHARE.complaint(answer)
    assert says in complaint
    assert bool(says) == bool(complaint)


def test_a_mistake_is_found():
    exercise = Exercise("x", "?", lambda: 100, "", "").wrong(lambda: 10, "you forgot the zero")
    assert exercise.mistake(10).explanation == "you forgot the zero"
    assert exercise.mistake(11) is None


def halves(n):
    return n / 2


def halves_rounded(n):
    return n // 2


FUNCTION = Exercise("x", "Halve.", lambda: halves, "", "", cases=((4,), (5,))).wrong(
    lambda: halves_rounded, "you rounded"
)


def test_a_function_is_judged_by_what_it_gives():
    assert FUNCTION.accepts(lambda n: n * 0.5)
    assert not FUNCTION.accepts(lambda n: n)
    assert FUNCTION.mistake(lambda n: int(n / 2)).explanation == "you rounded"


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (2.0, "a function is wanted, and this is a float"),
        (lambda n: n, "gives 4; 2.0 is wanted"),
        (lambda n: n / 0, "raises ZeroDivisionError"),
        (lambda: 2.0, "raises TypeError"),
        (functools.partial(halves_rounded), "`your function(5)` gives 2; 2.5 is wanted"),
        (lambda n: print(n) if n > 4 else n / 2, "does it end with `return`?"),
        (lambda n: str(n / 2), "gives '2.0'; 2.0 is wanted"),
    ],
)
def test_a_function_that_is_wrong_is_told_on_which_case(answer, says):
    assert says in FUNCTION.complaint(answer)


def test_a_function_of_dots_alone_is_blank():
    assert FUNCTION.blank(lambda n: None)
    assert not FUNCTION.blank(lambda n: n)


def test_a_function_that_changes_its_arguments_spoils_no_later_case():
    last = Exercise("x", "?", lambda: lambda items: items[-1], "", "", cases=(([1, 2],),))
    assert last.accepts(lambda items: items.pop())
    assert last.accepts(lambda items: items.pop())


def test_a_function_is_called_at_most_once_for_each_case():
    calls = []

    def per_million(gpus, gpu_hour, tokens_per_s):
        calls.append(gpus)
        return gpus * gpu_hour / (tokens_per_s * 3600) * 1e6 * (gpus < 16)

    assert not check("10-3", per_million).right
    assert sorted(calls) == [1, 8, 16]
