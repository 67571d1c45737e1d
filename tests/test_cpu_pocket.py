"""`cpu-pocket` before it starts: what is missing, altered or out of range is said in a line."""

from __future__ import annotations

import hashlib
import json
import re
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from kit.cli.main import main, parser
from kit.errors import InvalidValue, LaunchError, UnknownName
from kit.hardware import profile
from kit.launch import launch_plan
from kit.pocket import SUMS, WEIGHTS, insist_on_released
from kit.server import command_for, cpu
from kit.server.command import of_plan

ROOT = Path(__file__).parents[1]
RECORDED = WEIGHTS.parent / "recorded" / "pocket_acceptance.json"
released = pytest.mark.skipif(
    not (WEIGHTS / SUMS).exists(), reason="no weights have been released yet"
)


@pytest.fixture
def weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that looks like the released one, on a machine that has SGLang for CPUs."""
    monkeypatch.setattr(cpu, "installed", lambda: True)
    (tmp_path / "model.safetensors").write_bytes(b"x" * 1000)
    (tmp_path / "pocket.json").write_text(json.dumps({"name": "pocket model (3.2 M parameters)"}))
    files = sorted(tmp_path.iterdir())
    sums = [f"{hashlib.sha256(f.read_bytes()).hexdigest()}  {f.name}\n" for f in files]
    (tmp_path / SUMS).write_text("".join(sums))
    return tmp_path


def options(argv: tuple[str, ...]) -> dict[str, str]:
    return {flag: value for flag, value in pairwise(argv) if flag.startswith("--")}


def test_it_speculates_by_choice(weights: Path) -> None:
    on, one, off = (options(cpu.pocket(steps=n, weights=weights).argv) for n in (3, 1, 0))
    assert on["--speculative-algorithm"] == one["--speculative-algorithm"] == "NEXTN"
    assert (on["--speculative-num-steps"], on["--speculative-num-draft-tokens"]) == ("3", "4")
    assert (one["--speculative-num-steps"], one["--speculative-num-draft-tokens"]) == ("1", "2")
    assert on["--speculative-eagle-topk"] == "1"
    assert not [flag for flag in off if "speculative" in flag]
    assert {flag for flag in on if "speculative" not in flag} == set(off)


@pytest.mark.parametrize("steps", [-1, 4])
def test_more_drafts_than_its_layer_learnt_are_refused(weights: Path, steps: int) -> None:
    with pytest.raises(InvalidValue, match="0 to 3"):
        cpu.pocket(steps=steps, weights=weights)


def test_its_figures_say_that_they_are_a_small_models(weights: Path) -> None:
    made = cpu.pocket(weights=weights)
    assert "pocket model (3.2 M parameters) on a CPU" in made.source
    assert made.weights_gb == pytest.approx(1e-6)
    assert not made.outlives


def test_altered_weights_are_named(weights: Path) -> None:
    (weights / "model.safetensors").write_bytes(b"y" * 1000)
    with pytest.raises(LaunchError, match=r"model\.safetensors .* another checksum") as refused:
        cpu.pocket(weights=weights)
    assert refused.value.hint == "git checkout kit/data"


@pytest.mark.parametrize("name", ["model.safetensors", SUMS])
def test_missing_weights_are_told(weights: Path, name: str) -> None:
    (weights / name).unlink()
    with pytest.raises(LaunchError, match=rf"cannot be read: .*{re.escape(name)}") as refused:
        cpu.pocket(weights=weights)
    assert refused.value.hint == "git checkout kit/data"


def test_an_empty_list_of_checksums_is_no_proof(weights: Path) -> None:
    (weights / SUMS).write_text("")
    with pytest.raises(LaunchError, match="is empty"):
        cpu.pocket(weights=weights)


@pytest.mark.parametrize("make", [cpu.pocket, cpu.tiny])
def test_without_sglang_it_says_how_to_get_it(make, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.setattr(cpu, "installed", lambda: False)
    with pytest.raises(LaunchError, match="not installed here") as refused:
        make()
    assert "make sglang-cpu" in refused.value.hint


def test_kit_serve_knows_it(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[object] = []
    monkeypatch.setattr(cpu, "pocket", lambda *a, **k: asked.append(k["steps"]))
    for flags in ([], ["--no-mtp"]):
        args = parser().parse_args(["serve", cpu.POCKET, *flags])
        command_for(args.profile, port=args.port, mtp=not args.no_mtp)
    assert asked == [3, 0]


def test_it_is_the_one_profile_of_a_cpu_and_the_toy_is_the_tests_own(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """No list, help text, page or lesson names the toy; its recorded logs are logs."""
    assert list(cpu.MODELS) == [cpu.POCKET]
    with pytest.raises(UnknownName):
        command_for(cpu.TINY)
    for command in ([], ["serve"], ["rehearse"], ["run"], ["predict"]):
        with pytest.raises(SystemExit):
            parser().parse_args([*command, "--help"])
    main(["profiles"])
    shown = capsys.readouterr().out
    for folder, kinds in ((ROOT, "*.md"), (ROOT / "docs", "*.md"), (ROOT / "notebooks", "*")):
        shown += "".join(f.read_text("utf-8") for f in folder.glob(kinds) if f.is_file())
    assert cpu.POCKET in shown
    assert cpu.TINY not in shown


@pytest.mark.parametrize(
    ("asked", "says"), [({"sglang": "0.5.9"}, cpu.SGLANG_PINNED), ({"docker": True}, "--docker")]
)
def test_a_cpu_runs_no_other_sglang_and_no_container(asked: dict[str, Any], says: str) -> None:
    with pytest.raises(InvalidValue, match=says):
        command_for(cpu.POCKET, **asked)


def test_kit_serve_leaves_mtp_out_of_any_profile() -> None:
    on, off = (command_for("h200x8", mtp=mtp) for mtp in (True, False))
    assert "--speculative-algorithm" in on.argv
    assert "--speculative-algorithm" not in off.argv
    assert on.argv == of_plan(launch_plan(profile("h200x8"))).argv


@released
def test_the_released_weights_are_taken() -> None:
    insist_on_released()


@released
def test_the_recorded_acceptance_is_of_these_weights() -> None:
    """After new weights: make sglang-cpu, and python benchmarks/report.py pocket."""
    recorded = json.loads(RECORDED.read_text())
    about = json.loads((WEIGHTS / "pocket.json").read_text())
    assert recorded["sha256"] == about["sha256"]
    assert about["name"] in recorded["provenance"]["source"]
    rows = {(row["steps"], row["part"]): row for row in recorded["rows"]}
    assert set(rows) == {(n, part) for n in range(4) for part in ("thinking", "answer")}
    for (steps, _), row in rows.items():
        assert row["accept_length"] is None if steps == 0 else 1 < row["accept_length"] <= steps + 1
