"""Weights a rank, and the MTP head, against SGLang 0.5.23's own model classes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from kit.models import model

SCRIPT = Path(__file__).with_name("rank_of_sglang.py")
ROOT = Path(__file__).parents[2]


def _sglang(name: str, ranks: int) -> dict[str, int]:
    paths = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        [sys.executable, str(SCRIPT), name, str(ranks)],
        env={**os.environ, "PYTHONPATH": paths},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    ("name", "ranks"), [("397b", 1), ("397b", 8), ("397b", 16), ("27b", 4), ("0.8b", 2)]
)
def test_a_rank_holds_what_sglangs_layers_hold(name: str, ranks: int) -> None:
    theirs, m = _sglang(name, ranks), model(name)
    main = sum(m.rank_bytes("bf16", ranks, mtp=False))
    head = sum(m.rank_bytes("bf16", ranks, mtp=True)) - main
    assert head == theirs["mtp_bytes"]
    # A_log alone stays float32: two bytes more for each value head of each GDN layer.
    a_log = m.gdn_layers * m.linear_num_value_heads // ranks
    assert theirs["main_float32_parameters"] == a_log
    assert main == theirs["main_bytes"] - 2 * a_log
    if ranks == 1:
        assert m.parameters().mtp == theirs["mtp_parameters"]
    if (name, ranks) == ("397b", 1):
        assert theirs["mtp_parameters"] == 6_595_568_128
