"""`kit rehearse` on the real SGLang without a GPU: made, launched, measured, ended."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from kit.server import cpu

PYTHON = cpu.ROOT / ".venv" / "bin" / "python"  # the course's own
ASK = """
import torch
from sglang.srt.speculative.spec_utils import generate_simulated_accept_index as simulate
requests, width = 64, 4
predict, drafts = (torch.zeros(n, dtype=torch.int32) for n in (requests * width, requests))
index = torch.arange(requests * width, dtype=torch.int32).view(requests, width)
kept = simulate(accept_index=index, predict=predict, num_correct_drafts=drafts, candidates=None,
                target_predict=None, bs=requests, spec_steps=width - 1, simulate_acc_len=3.0)
print(len(set(predict.tolist())), int(predict.max()), set(drafts.tolist()), kept[1].tolist())
"""


@pytest.mark.parametrize("patched", [False, True])
def test_forced_tokens_are_all_alike_unless_patched(patched: bool) -> None:
    env = {"KIT_PATCH": str(cpu.ROOT / "kit/data/rehearsal"), "KIT_RANDOM_IDS_BELOW": "500"}
    done = subprocess.run(
        [str(cpu.PYTHON), "-c", ASK],
        env={**os.environ, "SGLANG_SIMULATE_ACC_LEN": "3", **(env if patched else {})},
        capture_output=True, text=True, timeout=120, check=True,
    )  # fmt: skip
    *said, figures = done.stdout.splitlines()
    kinds, largest, rest = figures.split(" ", 2)
    assert rest == "{2} [4, 5, 6, -1]"  # lengths stay as forced
    if patched:
        assert int(kinds) > 100
        assert int(largest) < 500
        assert "kit rehearse: forced tokens get random ids below 500" in said
    else:
        assert (kinds, largest) == ("1", "100")


@pytest.mark.timeout(300)
def test_one_rank_is_rehearsed_from_its_config_to_its_page(tmp_path: Path) -> None:
    """Under 90 s where nothing else runs: two thirds of it is SGLang's start."""
    out = tmp_path / "rank"
    command = [str(PYTHON), "-m", "kit.cli", "rehearse", "cpu-tiny", "--random-ids"]
    command += ["--accept-length", "3.2"]
    done = subprocess.run(
        [*command, "--out", str(out), "--json"],
        env={**os.environ, "PYTHONPATH": str(cpu.ROOT), "XDG_STATE_HOME": str(tmp_path)},
        capture_output=True, text=True, timeout=280, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    page = json.loads(done.stdout)
    assert "one rank of 2 of cpu-tiny" in page["provenance"]["source"]
    sections = {row["section"] for row in page["rows"] if row["measured"]}
    assert {"one at a time", "at most 4 at once", "memory, by the start log"} <= sections
    decoded = {r["term"][0] for r in page["rows"] if r["section"].startswith("a decode step")}
    assert decoded == {"1", "2", "4"}
    assert "get random ids below 1017" in (out / "server.log").read_text()
    results = [json.loads(line) for line in (out / "results.jsonl").read_text().splitlines()]
    lengths = {line["name"]: line["accept_length"] for line in results if line["kind"] == "decode"}
    assert lengths["4 at once"] == pytest.approx(3.2, abs=0.2)
    assert list((tmp_path / "qwen35-kit").glob("server-*.json")) == []  # it has ended
    assert (out / "page.md").read_text().startswith("# One rank of 2 of cpu-tiny")
