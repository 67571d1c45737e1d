"""Logs of failing servers → cause and remedy. The lines are SGLang's own; tests/sglang finds each
key line in the released files, and provokes several for real."""

from __future__ import annotations

import copy
import tomllib
from pathlib import Path
from typing import Any

import pytest

from kit import load_data
from kit.server.failures import diagnose, failures
from kit.server.log import phases

DATA = tomllib.loads((Path(__file__).parent / "data" / "failing_logs.toml").read_text())
LOGS = {
    which: "\n".join([DATA["earlier"].get(log.get("earlier"), ""), log["line"]]).lstrip()
    for which, log in DATA["log"].items()
}


def test_every_known_failure_has_a_log_here() -> None:
    assert {failure.id for failure in failures()} == set(LOGS)


@pytest.mark.parametrize("which", LOGS)
def test_the_log_tells_its_cause_and_nothing_else(which: str) -> None:
    found = diagnose(LOGS[which])
    assert [finding.id for finding in found] == [which]
    assert found[0].remedies
    assert "{" not in found[0].cause
    assert not any("{" in remedy for remedy in found[0].remedies)


def test_the_same_exception_means_opposite_things_before_and_after_the_pools() -> None:
    before, after = diagnose(LOGS["load-oom"])[0], diagnose(LOGS["runtime-oom"])[0]
    assert "more GPUs" in before.remedies[0]
    assert after.remedies[0].startswith("lower --mem-fraction-static")
    at_the_start = diagnose(LOGS["init-oom-states"])[0]
    assert at_the_start.remedies[0].startswith("raise --mem-fraction-static")


def test_the_remedy_quotes_the_figures_of_the_log() -> None:
    assert diagnose(LOGS["init-oom-weights"])[0].remedies[0] == "--mem-fraction-static above 0.712"
    assert diagnose(LOGS["slot-cap"])[0].cause.startswith("39 requests run at once")


def test_what_ended_the_server_comes_before_what_slowed_it() -> None:
    both = "\n".join([LOGS["slot-cap"], LOGS["runtime-oom"]])
    assert [f.id for f in diagnose(both)] == ["runtime-oom", "slot-cap"]


GRAPHS_OOM = """torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 448.00 MiB.
During handling of the above exception, another exception occurred:
Exception: Capture cuda graph failed: CUDA out of memory. Tried to allocate 448.00 MiB."""


def test_memory_that_ran_out_while_graphs_were_captured_did_not_run_out_while_serving() -> None:
    found = diagnose(f"{DATA['earlier']['started']}\n{GRAPHS_OOM}")
    assert [finding.id for finding in found] == ["graph-capture"]


def test_an_address_that_torch_tried_in_vain_is_no_failure_where_the_ranks_met() -> None:
    tried = "[W1122] [c10d] The client socket has failed to connect to [::1]:20000 (errno: 97)."
    assert [finding.id for finding in diagnose(tried)] == ["ranks-do-not-meet"]
    assert diagnose(f"{tried}\nInit parallel ends. elapsed=0.03 s") == ()


@pytest.mark.parametrize(
    ("file", "read"), [("failures.toml", failures), ("startup_log.toml", phases)]
)
@pytest.mark.parametrize("where", ["file", "row"])
def test_a_key_that_no_reader_knows_is_refused(
    file: str, read: Any, where: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = copy.deepcopy(load_data.toml(file))
    (data if where == "file" else next(iter(data.values()))[0])["unles"] = "x"
    monkeypatch.setattr(load_data, "toml", {file: data}.__getitem__)
    with pytest.raises((ValueError, TypeError), match="unles"):
        read.__wrapped__()


def test_a_good_start_is_diagnosed_as_nothing() -> None:
    good = DATA["earlier"]["started"] + "\nThe server is fired up and ready to roll!\n"
    assert diagnose(good) == ()


def test_the_conditions_of_a_failure_name_phases_that_exist() -> None:
    known = {phase.name for phase in phases()}
    for failure in failures():
        assert {failure.after, failure.before} <= known | {None}
