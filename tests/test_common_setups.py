"""The ten commonest set-ups outside data centres: our plans beside what their owners say works."""

from __future__ import annotations

from pathlib import Path

import pytest

from kit import common_setups
from kit.common_setups import Setup, setups
from kit.launch import launch_plan
from kit.sizing import plan

DOCS = Path(__file__).parents[1] / "docs"
EVERY = pytest.mark.parametrize("one", setups(), ids=lambda s: f"{s.model}-{s.gpu}x{s.count}")


def test_the_page_is_what_the_code_writes_now() -> None:
    page = (DOCS / "common-setups.md").read_text(encoding="utf-8")
    assert page == common_setups.markdown(), (
        "run: python -m kit.common_setups > docs/common-setups.md"
    )


def test_there_are_ten_and_each_names_who_says_so() -> None:
    assert len(setups()) == 10
    assert all(one.source and one.owner for one in setups())


@EVERY
def test_a_setup_holds_what_its_owner_says_it_does(one: Setup) -> None:
    made = one.owners
    assert made.fits
    if one.requests is not None:
        assert abs(made.max_running_requests - one.requests) <= 2
    if one.kv_tokens is not None:
        assert made.kv_tokens == pytest.approx(one.kv_tokens, rel=0.07)


@EVERY
def test_size_and_command_serve_it_by_default(one: Setup) -> None:
    assert plan(one.default).starts
    assert launch_plan(one.default).argv()
