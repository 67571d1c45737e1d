"""Published cells as data: counted by their source, consistent with themselves, split by a hash."""

import hashlib

import pytest

from kit import load_data
from kit.bench import published, published_cells, published_runs
from kit.cli import main
from kit.errors import InvalidValue, UnknownName
from kit.hardware import profile
from kit.scheduler.config import overlaps
from kit.sizing import plan

CELLS = published_cells("cookbook-0516")


@pytest.mark.parametrize(
    ("group", "count"),
    [("cookbook-0516", 172), ("cookbook-0515", 152), ("mi300x", 6), ("mi300x-0513", 4)],
)
def test_a_group_holds_as_many_cells_as_its_source(group, count):
    assert len(published_cells(group)) == count
    assert len({cell.name for cell in published_cells(group)}) == count


def test_a_profile_has_its_own_cells():
    first, second = published_cells("cookbook-0516", profile("h200x8"))
    assert (first.workload.max_concurrency, second.workload.max_concurrency) == (1, 16)
    assert (first.report.ttft.median, first.report.tpot.median) == (220, 2.24)
    assert published("cookbook-0516", profile("h200x8")) == first
    assert str(first.report.provenance).startswith("published · SGLang cookbook")


def test_the_profile_of_a_cell_has_the_flags_of_its_page():
    """Read off configs/qwen/qwen3.5.jsx: 35B BF16 on Blackwell has a fraction of 0.8."""
    by_name = {cell.name: cell.profile for cell in CELLS}
    assert by_name["cookbook-0516 35b-bf16-b200x1 1"].mem_fraction_static == 0.8
    assert by_name["cookbook-0516 122b-bf16-b300x2 1"].mem_fraction_static is None
    assert by_name["cookbook-0516 35b-bf16-h100x2 16"].mtp is not None
    assert by_name["cookbook-0516 397b-nvfp4-b200x4 no-mtp 1024"].kv_dtype == "fp8"


def test_throughput_agrees_with_the_latencies_of_its_cell():
    """Exact lengths at concurrency 1: 1024 tokens take TTFT + 1023 TPOT. The two are medians of
    eight requests and the rate is of all, so up to an eighth apart."""
    alone = [c for c in CELLS if c.workload.max_concurrency == 1]
    for cell in alone:
        r = cell.report
        took_s = (r.ttft.median + 1023 * r.tpot.median) / 1e3
        assert r.output_throughput * took_s == pytest.approx(1024, rel=0.13), cell.name


def test_a_third_is_held_out_by_a_hash_of_the_machine():
    for cell in CELLS:
        p = cell.profile
        name = f"{p.gpu.key} {p.model.name} {p.precision}".encode()
        assert cell.held_out == (int(hashlib.sha256(name).hexdigest(), 16) % 3 == 0)
    assert sum(bool(cell.held_out) for cell in CELLS) == 46
    assert all(cell.held_out is None for cell in published_cells("cookbook-0515"))


@pytest.mark.parametrize("run", published_runs(), ids=lambda run: run.name)
def test_the_overlap_state_of_a_run_is_the_one_that_its_version_and_command_give(run):
    given = load_data.toml(f"published/{run.name}.toml")["overlap"]
    assert overlaps(plan(run.profile, run.sglang)) is given


def test_cells_are_no_runs_of_their_own():
    assert [run.name for run in published_runs()] == [
        "cookbook-latency",
        "cookbook-throughput",
        "lambda-b200",
    ]
    assert all(run.group is None for run in published_runs())


@pytest.mark.parametrize(
    ("name", "on", "said"),
    [
        ("cookbook-0516", "h100x16", "h100x16"),
        ("cookbook-0499", "h200x8", "cookbook-0516"),
    ],
)
def test_a_run_that_is_not_there_is_named(name, on, said):
    with pytest.raises(UnknownName, match=said):
        published(name, profile(on))


def test_a_group_without_a_profile_is_no_run():
    with pytest.raises(InvalidValue, match="many profiles"):
        published("cookbook-0516")


def test_an_unknown_group_names_those_there_are():
    with pytest.raises(UnknownName, match="cookbook-0515"):
        published_cells("cookbook")


def test_a_profile_is_predicted_like_its_own_cell(capsys):
    asked = "predict h200x8 --like cookbook-0516 --max-concurrency 16"
    assert main(asked.split()) == 0
    shown = capsys.readouterr().out
    assert "Median TTFT (ms):" in shown.split("ratio")[1]
    assert "452.00" in shown
    assert "published · SGLang cookbook" in shown
    assert main(["predict", "h200x8", "--like", "cookbook-0516", "--max-concurrency", "5"]) == 2
    assert "1 and 16" in capsys.readouterr().err
