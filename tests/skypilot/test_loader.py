"""The SkyPilot forms of the kit, read and validated by SkyPilot's own loader.

SkyPilot has an environment of its own: `make test-skypilot` makes it (460 MB) and
runs this file; without it the tests are skipped.
"""

from __future__ import annotations

import json
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from kit.errors import KitError
from kit.hardware import Profile, gpus, profile, profiles
from kit.launch import LaunchOptions, LaunchPlan, launch_plan

ROOT = Path(__file__).parents[2]
PYTHON = ROOT / ".venv-skypilot" / "bin" / "python"
MARK = "loaded: "
SPECIAL = LaunchOptions(load_threads=64, api_key=True, media_per_request=(("image", 4),))
# What no cloud of SkyPilot's offers: for a Kubernetes cluster of one's own, under its own label.
OWN_CLUSTER = {
    "H20-96GB", "H20-141GB", "H800", "A800", "L20", "GB10", "RTX5070TI",
    "MI210", "MI250X", "MI308X", "MI325X", "MI350X", "MI355X",
}  # fmt: skip

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not (PYTHON.parents[1] / ".ready").is_file(),
        reason="SkyPilot's environment is not here: make test-skypilot",
    ),
]


@dataclass(frozen=True)
class Loaded:
    """What SkyPilot made of each text, in order, and the GPU names that it knows."""

    tasks: list[dict[str, Any]]
    names: set[str]


def load(texts: list[str], home: Path) -> Loaded:
    done = subprocess.run(
        [str(PYTHON), str(Path(__file__).parent / "load.py")],
        input="".join(json.dumps(text) + "\n" for text in texts),
        env={**os.environ, "HOME": str(home), "SKYPILOT_DISABLE_USAGE_COLLECTION": "1"},
        capture_output=True,
        text=True,
        timeout=150,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    lines = [line for line in done.stdout.splitlines() if line.startswith(MARK)]
    names, *tasks = (json.loads(line.removeprefix(MARK)) for line in lines)
    return Loaded(tasks, set(names))


def plans() -> list[LaunchPlan]:
    """Every named profile that has a SkyPilot form, and one card of each kind."""
    made = []
    cards = [gpu for gpu in gpus() if not gpu.is_cpu]
    own = [Profile.of(model, "bf16", card, 1) for card in cards for model in ("0.8b", "4b")]
    for one in (*profiles(), *own):
        try:
            made.append(launch_plan(one))
            made[-1].form("skypilot")
        except KitError:
            made = [plan for plan in made if plan.profile != one]
    return [*made, launch_plan(profile("h100x16"), options=SPECIAL)]


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[LaunchPlan], Loaded]:
    made = plans()
    wrong = made[0].form("skypilot").replace("num_nodes:", "num_node:")
    texts = [*(plan.form("skypilot") for plan in made), wrong]
    return made, load(texts, tmp_path_factory.mktemp("home"))


def test_skypilot_reads_every_form_as_the_plan_means_it(
    seen: tuple[list[LaunchPlan], Loaded],
) -> None:
    made, loaded = seen
    assert {plan.nodes for plan in made} == {1, 2}
    for plan, task in zip(made, loaded.tasks, strict=False):
        assert "error" not in task, (plan.profile.name, task)
        assert task["nodes"] == plan.nodes
        (count,) = task["accelerators"].values()
        assert count == plan.profile.tp_size // plan.nodes
        assert task["image"] == plan.image
        assert task["disk_gb"] > plan.memory.weights_gb
        assert task["ports"] is None  # nothing is opened to the internet
    print(f"\n{len(made)} forms read and validated by SkyPilot")


def test_every_card_is_called_as_skypilot_calls_it(seen: tuple[list[LaunchPlan], Loaded]) -> None:
    """An A100 there is the one of 40 GB; ours has 80."""
    made, loaded = seen
    asked = {
        plan.profile.gpu.key: next(iter(task["accelerators"]))
        for plan, task in zip(made, loaded.tasks, strict=False)
    }
    assert set(asked) >= {"h100", "h200", "b200", "a100", "rtx4090", "mi300x"}
    assert set(asked.values()) - OWN_CLUSTER <= loaded.names
    assert asked["a100"] == "A100-80GB"


def test_skypilot_would_notice_a_wrong_key(seen: tuple[list[LaunchPlan], Loaded]) -> None:
    assert "num_node" in seen[1].tasks[-1]["error"]
