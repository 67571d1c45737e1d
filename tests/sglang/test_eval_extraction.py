"""The answers read out of texts, beside SGLang's own scripts and lm-eval's expressions."""

from __future__ import annotations

import re
import sys
from types import ModuleType, SimpleNamespace

import pytest
from sglang.test.few_shot_gsm8k import INVALID, get_answer_value

from kit.evals import extract, mmmu, recorded

ODD = (
    "He pays $1,234.", "so -3", "no number", "agent 007", "00", "1.", "#### 18", "12 of 30",
    "$5.50 each", "2026-11-27", "x = 10^6", "one hundred", "3/4", "100%", "½", "٣", "1,2,3",
)  # fmt: skip
TEXTS = [*ODD, *(one.text for one in recorded("pocket-instruct").answers[: 50 - len(ODD)])]
# lm_eval/tasks/gsm8k/gsm8k.yaml, version 3.0: flexible-extract takes the last of these
FLEXIBLE = re.compile(r"(-?[$0-9.,]{2,})|(-?[0-9]+)")


@pytest.mark.parametrize("text", TEXTS)
def test_the_scripts_rule_reads_what_the_script_reads(text: str) -> None:
    theirs = get_answer_value(text)
    assert extract.last_integer(text) == (None if theirs == INVALID else theirs)


def test_the_kits_rule_differs_from_lm_evals_only_where_that_reads_no_number() -> None:
    differ = {}
    for text in TEXTS:
        found = ["".join(pair) for pair in FLEXIBLE.findall(text)]
        theirs = found[-1].replace(",", "").replace("$", "").rstrip(".") if found else None
        ours = extract.number(text)
        try:
            same = (None if theirs is None else float(theirs)) == (
                None if ours is None else float(ours)
            )
        except ValueError:
            same = False
        if not same:
            differ[text] = (theirs, ours)
    print(f"{len(TEXTS) - len(differ)} of {len(TEXTS)} texts read alike; {differ}")
    assert set(differ) <= set(ODD)


OPTIONS = ("red", "blue", "dark green", "none of them")
CHOSEN = (
    "Answer: B", "It is (C).", "A or B? I take B .", "clearly it has to be the dark green one here",
    "answer: **D**", "The options (A) and (B) fail, so (D)", "Answer: E\nAnswer: C", "(B)",
)  # fmt: skip
OPEN = (
    ("The result is 3.50", "3.5"), ("so x = 1,200.", "1200"), ("It is blue.", "blue"),
    ("Thus the final answer is 17 m", "17"), ("nothing", "4"), ("y is 2.004", "2"),
    ("The color is dark blue", "blue"), ("Therefore 5\nwhich is 6", "6"),
)  # fmt: skip


@pytest.fixture(scope="module")
def theirs() -> ModuleType:
    """SGLang's MMMU evaluation; its data sets are not needed here."""
    sys.modules["datasets"] = SimpleNamespace(concatenate_datasets=None, load_dataset=None)  # type: ignore[assignment]
    import sglang.test.simple_eval_mmmu_vlm as module

    return module


@pytest.mark.parametrize("text", CHOSEN)
def test_a_letter_is_the_one_that_sglang_reads(text: str, theirs: ModuleType) -> None:
    letters = ["A", "B", "C", "D"]
    read = theirs._parse_multi_choice_response(
        text, letters, dict(zip(letters, OPTIONS, strict=True))
    )
    assert extract.letter(text, OPTIONS) == read


@pytest.mark.parametrize(("said", "wanted"), OPEN)
def test_an_open_answer_is_right_where_sglang_says_so(
    said: str, wanted: str, theirs: ModuleType
) -> None:
    assert mmmu.matches(said, wanted) == theirs._eval_open(
        wanted, theirs._parse_open_response(said)
    )
