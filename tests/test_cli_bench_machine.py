"""`kit bench` takes the twin's machine in parts, as `kit size` does."""

import pytest

from kit.cli import main
from kit.cli.main import parser
from kit.cli.shared import chosen_profile


def test_the_parts_name_a_profile():
    said = ["bench", "--model", "27b", "--precision", "fp8", "--gpu", "h100", "--count", "1"]
    assert chosen_profile(parser().parse_args(said)).title == "27b-fp8-h100x1"


@pytest.mark.parametrize(
    "parts",
    ["--gpu h100", "--precision fp8", "--gpu h100 --model 27b --url http://x"],
)
def test_parts_that_do_not_go_together_are_two_lines(parts, capsys):
    assert main(["bench", *parts.split()]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 2
