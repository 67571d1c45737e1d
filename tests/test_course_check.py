import pytest

from kit.course.check import Exercise, check, exercises, hint, solution
from kit.errors import UnknownName


def test_an_untouched_exercise_is_not_an_error():
    name = next(iter(exercises()))
    verdict = check(name, ...)
    assert not verdict.right
    assert exercises()[name].question in verdict.text


@pytest.mark.parametrize("name", list(exercises()))
def test_the_solution_passes(name):
    assert check(name, exercises()[name].expected()).right
    assert solution(name).text


@pytest.mark.parametrize("name", list(exercises()))
def test_each_usual_mistake_is_told_apart(name):
    exercise = exercises()[name]
    for mistake in exercise.mistakes:
        verdict = check(name, mistake.answer())
        assert not verdict.right
        assert mistake.explanation in verdict.text


@pytest.mark.parametrize("name", list(exercises()))
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
    assert not exercise.accepts("100")
    assert not exercise.accepts(True)


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
    ],
)
def test_a_function_that_is_wrong_is_told_on_which_case(answer, says):
    assert says in FUNCTION.complaint(answer)
