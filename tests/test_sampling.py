import pytest

from kit.errors import UnknownName
from kit.sampling import recommended, settings


def test_the_two_modes_want_different_settings():
    think, answer = recommended("397b", True), recommended("397b", False)
    assert (think.temperature, think.top_p) == (1.0, 0.95)
    assert (answer.temperature, answer.top_p) == (0.7, 0.8)


def test_the_smallest_sizes_have_rows_of_their_own():
    assert recommended("0.8b", False).presence_penalty == 2.0
    assert recommended("0.8b", False) != recommended("4b", False)


def test_no_two_rows_answer_the_same_question():
    keys = [(size, row.thinking, row.task) for row in settings() for size in row.sizes]
    assert len(keys) == len(set(keys))


def test_what_openai_does_not_know_goes_into_the_body():
    import inspect

    from openai.resources.chat.completions import Completions

    known = inspect.signature(Completions.create).parameters
    given = recommended("397b", True).openai()
    assert set(given) <= set(known)
    assert given["extra_body"] == {"top_k": 20}


def test_an_unknown_size_or_task_names_those_there_are():
    with pytest.raises(UnknownName, match="397b"):
        recommended("397", True)
    with pytest.raises(UnknownName, match="coding"):
        recommended("397b", True, "codng")
