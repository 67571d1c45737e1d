"""The capstone's review: its example passes, and each way to be wrong is named."""

import pytest

from kit.course.capstone import FIELDS, example, review


@pytest.fixture(scope="module")
def good():
    return example()


def named(answer):
    found = review(answer)
    assert not found.right
    return str(found)


def test_the_example_is_accepted(good):
    found = review(good)
    assert found.right, str(found)
    assert "✓" in str(found)


def test_dots_are_no_error():
    assert not review(...).right
    assert "brief" not in str(review(...)).lower()
    assert str(review(dict.fromkeys(FIELDS, ...))).count("is missing") == len(FIELDS)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"replicas": 1}, "too few"),
        ({"replicas": 2}, "with one down"),
        ({"replicas": 40}, "so would fewer"),
        ({"replicas": 0}, "whole number"),
        ({"replicas": "three"}, "whole number"),
        ({"profile": "nothing"}, "no profile called"),
        ({"profile": "b200x8"}, "the nodes have H200s"),
        ({"changes": {"colour": "red"}}, "profile:"),
        ({"changes": {"tp_size": 3}}, "profile:"),
        ({"command": "sglang serve"}, "--model-path"),
        ({"command": 'sglang serve "'}, "no shell would read it"),
        ({"table": {}}, "output_per_s"),
        ({"table": "fast"}, "a dictionary"),
        ({"defence": "It is fine."}, "3 words"),
        ({"defence": "It " * 50}, "how sure the figures are"),
    ],
)
def test_what_is_wrong_is_named(good, changes, said):
    assert said in named({**good, **changes})


def test_a_command_for_other_weights_is_found(good):
    wrong = good["command"].replace("-FP8", "")
    assert "--model-path is Qwen/Qwen3.5-397B-A17B, and this plan needs" in named(
        {**good, "command": wrong}
    )


def test_a_figure_that_was_guessed_is_found(good):
    table = {**good["table"], "ttft_ms": 3 * good["table"]["ttft_ms"]}
    assert "P90 TTFT" in named({**good, "table": table})
