"""`kit diagnose LOG`: what it prints, its exit status, and its JSON."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from kit.cli.main import main
from kit.course.sample_logs import recordings

DATA = tomllib.loads((Path(__file__).parent / "data" / "failing_logs.toml").read_text())
OOM = "\n".join([DATA["earlier"]["graphs"], DATA["log"]["graph-oom"]["line"], ""])


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "server.log"


def test_it_prints_phase_cause_changes_line_and_where_to_read_on(
    log: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    log.write_text(OOM)
    assert main(["diagnose", str(log)]) == 0
    said = capsys.readouterr().out
    assert "reached: capturing CUDA graphs" in said
    assert "most likely: out of memory while the CUDA graphs are captured" in said
    assert "→ --cuda-graph-max-bs-decode" in said
    assert "line 2: torch.OutOfMemoryError" in said
    assert "documented: https://docs.sglang.io/" in said


@pytest.mark.parametrize("name", recordings())
def test_every_recording_ends_with_status_0(name: str, log: Path) -> None:
    log.write_text(recordings()[name].text)
    cut_short = name == "h200-35b-mtp"  # it ends before the server is ready
    assert main(["diagnose", str(log)]) == int(cut_short)


def test_a_log_that_ends_before_the_server_is_ready_says_so(
    log: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    log.write_text(recordings()["h200-35b-mtp"].text)
    main(["diagnose", str(log)])
    assert "not ready yet" in capsys.readouterr().out


def test_a_server_that_serves_is_called_so(log: Path, capsys: pytest.CaptureFixture[str]) -> None:
    log.write_text(recordings()["start"].text)
    assert main(["diagnose", str(log)]) == 0
    assert "it serves" in capsys.readouterr().out


def test_an_unknown_end_shows_the_last_errors_and_ends_with_status_1(
    log: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    log.write_text(f"{DATA['earlier']['serving']}\nOddError: the moon is full\nKilled by me\n")
    assert main(["diagnose", str(log)]) == 0  # it serves: an error alone ends no server
    log.write_text(
        f"{DATA['earlier']['serving']}\n[…] Scheduler hit an exception: Traceback\nOddError: x\n"
    )
    assert main(["diagnose", str(log)]) == 1  # a rank that ends does
    capsys.readouterr()
    log.write_text(f"sglang==0.5.16\n{DATA['earlier']['loading']}\nOddError: the moon is full\n")
    assert main(["diagnose", str(log)]) == 1
    said = capsys.readouterr().out
    assert "line 3: OddError: the moon is full" in said
    assert "sglang/blob/v0.5.16/" in said


def test_a_log_that_cannot_be_read_is_two_lines_and_status_2(
    log: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["diagnose", str(log)]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 2


def test_a_dash_is_standard_input() -> None:
    told = subprocess.run(
        [sys.executable, "-m", "kit.cli", "diagnose", "-", "--json"],
        input=OOM.encode("utf-16"),
        capture_output=True,
        check=True,
    )
    figures = json.loads(told.stdout)
    assert (figures["server"], figures["phase"], figures["serves"]) == ("SGLang", "graphs", False)
    assert [cause["id"] for cause in figures["causes"]] == ["graph-oom"]
    assert figures["causes"][0]["line_number"] == 2
    assert figures["causes"][0]["change"][0].startswith("--cuda-graph-max-bs-decode")
    assert figures["provenance"]["kind"] == "measured"


def test_json_of_an_unknown_end_has_the_last_lines(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"OddError: the moon is full")))
    assert main(["diagnose", "-", "--json"]) == 1
    figures = json.loads(capsys.readouterr().out)
    assert figures["causes"] == []
    assert figures["last_lines"] == ["1: OddError: the moon is full"]
