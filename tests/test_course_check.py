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
