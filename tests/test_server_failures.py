"""Logs of failing servers → cause and remedy.

The lines are SGLang's own (tests/sglang finds each key line in the released files and provokes
several for real), or rebuilt in the spirit of public reports.
"""

from __future__ import annotations

import copy
import re
import tomllib
from pathlib import Path

import confusion_table
import pytest

from kit import load_data
from kit.course.sample_logs import recordings
from kit.server.failures import diagnose, examine, failures
from kit.server.known_failures import engines
from kit.server.log import Stage, frames, phases
from kit.server.log_text import numbered

HERE = Path(__file__).parent / "data"
DATA = tomllib.loads((HERE / "failing_logs.toml").read_text())
EARLIER = DATA["earlier"]
LOGS = {
    which: "\n".join([EARLIER.get(log.get("earlier"), ""), log["line"]]).lstrip("\n")
    for which, log in DATA["log"].items()
}
REPORTED = tomllib.loads((HERE / "reported_logs.toml").read_text())
READY = EARLIER["serving"]


def ids(log: str) -> list[str]:
    return [finding.id for finding in diagnose(log)]


def test_every_known_failure_has_a_log_here() -> None:
    assert [failure.id for failure in failures()] == list(LOGS)
    assert len(LOGS) >= 60


@pytest.mark.parametrize("which", LOGS)
def test_the_log_tells_its_cause_and_nothing_else(which: str) -> None:
    found = diagnose(LOGS[which])
    assert [finding.id for finding in found] == [which]
    assert found[0].remedies
    assert not re.search(r"[{}?]", found[0].cause), "a figure of the log is missing"
    assert not any(re.search(r"\{[a-z]+\}", remedy) for remedy in found[0].remedies)


@pytest.mark.parametrize("which", REPORTED)
def test_a_report_is_told_its_cause(which: str) -> None:
    report = REPORTED[which]
    assert ids(report["log"])[:1] == [report["cause"]][: bool(report["cause"])]


def test_the_confusion_table_has_a_diagonal_only() -> None:
    told = confusion_table.table()
    assert {(cause, first) for _, cause, first in told if cause != first} == set()
    assert sum(n for (_, cause, _), n in told.items() if not cause) >= 15, "good starts"
    assert len(confusion_table.show(told).splitlines()) == 5


FALLS = """[2026-11-22 18:50:00 TP0] Scheduler hit an exception: Traceback (most recent call last):
  File "/opt/sglang/srt/managers/schedule_policy.py", line 7, in add_one_req
    self.tree_cache.evict(1)
  File "/opt/sglang/srt/{path}", line 9, in anything
    raise OddError("the moon is full")
OddError: the moon is full"""


@pytest.mark.parametrize(
    ("paths", "parts"),
    [
        (["mem_cache/radix_cache.py"], ["cache"]),
        (["managers/schedule_batch.py"], ["scheduler"]),
        (["speculative/eagle_worker_v2.py", "layers/moe/topk.py"], ["moe", "mtp-shapes"]),
        (["layers/moe/topk.py", "models/qwen3_5.py"], ["moe"]),
        (["some/new_file.py"], ["scheduler"]),
    ],
)
def test_an_error_that_no_line_knows_is_told_by_the_part_of_the_server_it_arose_in(
    paths: list[str], parts: list[str]
) -> None:
    """The innermost first, then what it was called from; a part that is always passed, alone."""
    frames = '", line 9, in anything\n  File "/opt/sglang/srt/'.join(paths)
    found = diagnose(f"{READY}\n{FALLS.format(path=frames)}")
    assert [finding.id for finding in found] == parts
    assert "OddError: the moon is full" in found[0].cause


def test_an_error_within_a_request_that_the_server_outlives_is_no_failure() -> None:
    fell = FALLS.format(path="constrained/xgrammar_backend.py").splitlines()[1:]
    asgi = ["ERROR:    Exception in ASGI application", "Traceback (most recent call last):", *fell]
    assert diagnose("\n".join([READY, *asgi])) == ()


@pytest.mark.parametrize("rank", ["TP0", "TP1", "DP3 TP6", "PP1 TP0"])
def test_a_log_of_any_rank_says_how_far_the_server_came(rank: str) -> None:
    """The second node's log has none of the first rank's lines."""
    begins = EARLIER["loading"].replace("18:42:02", f"18:42:02 {rank}")
    assert examine(numbered([begins])).stage is Stage.WEIGHTS
    first = EARLIER["loading"].replace("18:42:02", "18:42:02 TP0")
    assert examine(numbered([f"{begins}\n{first}"])).stage is Stage.WEIGHTS


def test_every_failure_says_where_it_is_known_from() -> None:
    """A released file (tests/sglang looks for the key line), a public thread, or documentation."""
    for failure in failures():
        assert bool(failure.key) == bool(failure.where), failure.id
        cited = re.search(r"[\w.-]+/[\w.-]+#\d+|documentation|cookbook", failure.source)
        assert failure.where or cited, failure.id
        assert failure.docs.startswith(("", "https://"))


@pytest.mark.parametrize(
    ("stage", "cause", "first"),
    [
        ("starting", "gpu-occupied", "nvidia-smi"),
        ("loading", "load-oom", "more GPUs"),
        ("loaded", "state-pool-oom", "a smaller pool of states"),
        ("draft", "draft-oom", "without MTP"),
        ("graphs", "graph-oom", "--cuda-graph-max-bs-decode"),
        ("serving", "runtime-oom", "lower --mem-fraction-static"),
    ],
)
def test_one_exception_means_six_things_by_where_it_stands(
    stage: str, cause: str, first: str
) -> None:
    found = diagnose(f"{EARLIER[stage]}\n{DATA['log']['oom']['line']}")
    assert [finding.id for finding in found] == [cause]
    assert found[0].remedies[0].startswith(first)


def test_the_same_exception_means_opposite_things_before_and_after_the_pools() -> None:
    before, after = diagnose(LOGS["load-oom"])[0], diagnose(LOGS["runtime-oom"])[0]
    assert "more GPUs" in before.remedies[0]
    assert after.remedies[0].startswith("lower --mem-fraction-static")
    at_the_start = diagnose(LOGS["init-oom-states"])[0]
    assert at_the_start.remedies[0].startswith("raise --mem-fraction-static")


@pytest.mark.parametrize(
    ("functions", "cause"),
    [
        (["__init__", "init_tp_model_worker", "load_model"], "load-oom"),
        (["maybe_init_draft_worker", "load_model"], "draft-oom"),
        (["maybe_init_draft_worker", "init_memory_pool"], "state-pool-oom"),
        (["init_memory_pools", "_init_mamba_pool"], "state-pool-oom"),
        (["init_all_cuda_graphs", "capture", "forward"], "graph-oom"),
        (["run_event_loop", "event_loop_overlap", "capture"], "runtime-oom"),
        (["main"], "oom"),
    ],
)
def test_a_traceback_alone_says_where_it_arose(functions: list[str], cause: str) -> None:
    """People paste the traceback and leave the rest of the log out."""
    calls = [f'  File "/opt/sglang/srt/x.py", line {n}, in {f}' for n, f in enumerate(functions)]
    log = ["Traceback (most recent call last):", *calls, DATA["log"]["oom"]["line"]]
    assert ids("\n".join(log)) == [cause]


def test_the_remedy_quotes_the_figures_of_the_log() -> None:
    assert diagnose(LOGS["init-oom-weights"])[0].remedies[0] == "--mem-fraction-static above 0.712"
    assert diagnose(LOGS["slot-cap"])[0].cause.startswith("39 requests run at once")


def test_what_ended_the_server_comes_before_what_slowed_it() -> None:
    both = "\n".join([LOGS["slot-cap"], LOGS["runtime-oom"]])
    assert ids(both) == ["runtime-oom", "slot-cap"]


@pytest.mark.parametrize(
    ("general", "specific"),
    [
        ("no-gpu", "driver-too-old"),
        ("nccl", "shm"),
        ("rank-crashed", "numa"),
        ("peer-gone", "load-oom"),
        ("warmup-failed", "no-kernel-image"),
        ("health-timeout", "illegal-access"),
    ],
)
def test_the_specific_comes_before_the_general_whichever_is_first(
    general: str, specific: str
) -> None:
    line = DATA["log"][general]["line"]
    assert ids(f"{LOGS[general]}\n{DATA['log'][specific]['line']}")[0] == specific
    assert ids(f"{LOGS[specific]}\n{line}")[0] == specific


def test_an_early_error_that_the_start_outlived_comes_last() -> None:
    log = f"{LOGS['disk-quota']}\n{EARLIER['loading']}\n{EARLIER['graphs']}\n{LOGS['graph-oom']}"
    assert ids(log) == ["graph-oom", "disk-quota"]


BEFORE_IT_SERVES = [
    f.id for f in failures() if f.stage and not f.serves and Stage.SERVING not in f.stage
]


@pytest.mark.parametrize("which", BEFORE_IT_SERVES)
def test_a_server_that_came_up_all_the_same_did_not_fail(which: str) -> None:
    assert diagnose(f"{LOGS[which]}\n{READY}") == ()


def test_of_several_starts_in_one_log_the_last_counts() -> None:
    """A container that restarts writes one start after the other."""
    start = EARLIER["starting"]
    fails = f"{start}\n{EARLIER['loading']}\n{DATA['log']['oom']['line']}"
    assert ids(f"{fails}\n{start}\n{EARLIER['loading']}\n{READY}") == []
    assert ids(f"{fails}\n{fails}\n{start}\n{EARLIER['loading']}") == ["load-oom"]
    assert ids(f"{start}\n{READY}\n{LOGS['disk-quota']}\n{fails}") == ["load-oom"]


def test_a_log_that_was_cut_off_at_the_front_may_still_show_that_it_serves() -> None:
    """kubectl logs --tail leaves the start out."""
    tail = "[2026-11-22 18:50:00 TP0] Decode batch, #running-req: 1, #full token: 62"
    assert examine(numbered([tail])).serves
    assert ids(f"{tail}\n{DATA['log']['oom']['line']}") == ["runtime-oom"]


def test_what_users_wrote_is_no_failure() -> None:
    """With --log-requests the prompts stand in the log."""
    asked = "Receive: obj=GenerateReqInput(text='why torch.OutOfMemoryError: CUDA out of memory?')"
    assert diagnose(f"{READY}\n[2026-11-22 18:50:00] {asked}") == ()


GRAPHS_OOM = """torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 448.00 MiB.
During handling of the above exception, another exception occurred:
Exception: Capture cuda graph failed: CUDA out of memory. Tried to allocate 448.00 MiB."""


def test_memory_that_ran_out_while_graphs_were_captured_did_not_run_out_while_serving() -> None:
    assert ids(f"{EARLIER['started']}\n{GRAPHS_OOM}") == ["graph-capture"]


def test_an_address_that_torch_tried_in_vain_is_no_failure_where_the_ranks_met() -> None:
    tried = "[W1122] [c10d] The client socket has failed to connect to [::1]:20000 (errno: 97)."
    assert ids(tried) == ["ranks-do-not-meet"]
    assert diagnose(f"{tried}\nInit parallel ends. elapsed=0.03 s") == ()


@pytest.mark.parametrize(
    ("file", "table", "read"),
    [
        ("failures.toml", "failure", failures),
        ("failures.toml", "engine", engines),
        ("startup_log.toml", "phase", phases),
        ("startup_log.toml", "frame", frames),
    ],
)
@pytest.mark.parametrize("where", ["file", "row"])
def test_a_key_that_no_reader_knows_is_refused(
    file: str, table: str, read: object, where: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = copy.deepcopy(load_data.toml(file))
    (data if where == "file" else data[table][0])["unles"] = "x"
    monkeypatch.setattr(load_data, "toml", {file: data}.__getitem__)
    with pytest.raises((ValueError, TypeError), match="unles"):
        read.__wrapped__()  # type: ignore[attr-defined]


def test_a_good_start_is_diagnosed_as_nothing() -> None:
    assert diagnose("\n".join([EARLIER["loading"], EARLIER["started"], READY])) == ()


@pytest.mark.parametrize("name", recordings())
def test_what_was_recorded_is_told_right(name: str) -> None:
    """The logs of the released server that lesson 03 shows: the confusion table's diagonal."""
    recording = recordings()[name]
    found = examine(numbered([recording.text]))
    assert [finding.id for finding in found.findings] == [name][: not recording.went_well]
    assert not (found.serves and found.ended)
    assert found.engine is engines()[0]


@pytest.mark.parametrize(
    ("log", "name"),
    [
        ("INFO 11-22 18:42:02 [api_server.py:1896] vLLM API server version 0.33.0", "vLLM"),
        ("(EngineCore_DP0 pid=868) ERROR 11-22 18:42:02 [core.py:868] ValueError", "vLLM"),
        ("llama_model_loader: loaded meta data with 44 key-value pairs", "llama.cpp"),
        ("ggml_cuda_init: found 1 CUDA devices:", "llama.cpp"),
        (EARLIER["loading"], "SGLang"),
        ('  File "/opt/sglang/srt/x.py", line 3, in <module>\n    import vllm.engine', "SGLang"),
    ],
)
def test_whose_log_it_is_is_recognised(log: str, name: str) -> None:
    found = examine(numbered([log]))
    assert found.engine is not None
    assert found.engine.name == name


def test_of_another_programs_log_only_the_machines_troubles_are_named() -> None:
    vllm = "INFO 11-22 18:42:02 [api_server.py:1896] vLLM API server version 0.33.0\n"
    assert ids(vllm + LOGS["driver-too-old"]) == ["driver-too-old"]
    assert ids(vllm + LOGS["init-oom-kv"]) == []
    told = str(examine(numbered([vllm + LOGS["driver-too-old"]])))
    assert told.startswith("a log of vLLM, not of SGLang")
    assert "docs.vllm.ai" in told


def test_a_log_of_which_nothing_is_known_keeps_its_last_errors() -> None:
    log = f"{EARLIER['loading']}\nOddError: the moon is full\n[2026-11-22 18:42:09] bye"
    found = examine(numbered([log]))
    assert found.findings == ()
    assert not found.serves
    assert [line.text for line in found.last_lines] == ["OddError: the moon is full"]
    assert found.stage is Stage.WEIGHTS
    assert found.troubleshooting in str(found)


@pytest.mark.parametrize(
    ("said", "page"),
    [
        ("image: lmsysorg/sglang:v0.5.16", "blob/v0.5.16/docs_new/docs/references/faq.mdx"),
        ("sglang==0.5.9", "blob/v0.5.9/docs/references/faq.md"),
        ("no version", "docs.sglang.io/docs/references/faq"),
    ],
)
def test_the_troubleshooting_page_is_that_of_the_logs_version(said: str, page: str) -> None:
    assert examine(numbered([f"{said}\nOddError: x"])).troubleshooting.endswith(page)
