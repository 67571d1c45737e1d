"""The forms of a launch plan, read by bash and YAML: they hand on the plan's very words."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path

import jinja2
import pytest
import yaml

from kit import load_data
from kit.errors import InvalidValue, UnknownName
from kit.hardware import SGLANG, profile
from kit.launch import LaunchOptions, LaunchPlan, launch_plan, render
from kit.launch.render import FORMS

ONE, TWO, AMD = "h200x8", "h100x16", "397b-bf16-mi300x-x8"
SPECIAL = LaunchOptions(load_threads=64, media_per_request=(("image", 4),))


def in_a_container(name: str) -> LaunchPlan:
    """The plan that a container of this profile is given: AMD's images are of one version."""
    version = "0.5.12.post1" if profile(name).gpu.is_amd else SGLANG
    return launch_plan(profile(name), version, SPECIAL)


def form(name: str, kind: str) -> str:
    return launch_plan(profile(name), options=SPECIAL).form(kind)


def bash(script: str, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["bash", "-s"], input=script, text=True, capture_output=True, check=False,
        env={"PATH": os.environ["PATH"], "HOME": "/home/x", **(env or {})},
    )  # fmt: skip


def spy(tmp_path: Path, *programs: str) -> dict[str, str]:
    """An environment in which these programs print their arguments, one per line."""
    for program in programs:
        file = tmp_path / program
        file.write_text('#!/bin/sh\nfor word in "$@"; do printf "%s\\n" "$word"; done\n')
        file.chmod(0o755)
    return {"PATH": f"{tmp_path}:{os.environ['PATH']}"}


@pytest.mark.parametrize("name", [ONE, TWO, AMD])
def test_the_shell_form_types_the_plans_very_words(name: str, tmp_path: Path) -> None:
    plan = launch_plan(profile(name), options=SPECIAL)
    env = {**spy(tmp_path, "sglang"), "NODE_RANK": "1", "NODE0_IP": "10.0.0.1"}
    typed = bash(plan.form("shell"), env)
    rank = 1 if plan.nodes > 1 else 0
    assert typed.stdout.splitlines() == plan.argv(rank, "10.0.0.1")[1:], typed.stderr


def test_the_shell_form_asks_for_its_rank() -> None:
    assert "NODE_RANK" in bash(form(TWO, "shell")).stderr


@pytest.mark.parametrize("name", [ONE, TWO, AMD])
def test_the_docker_form_hands_the_plans_words_to_the_container(name: str, tmp_path: Path) -> None:
    plan = in_a_container(name)
    env = {**spy(tmp_path, "docker"), "NODE_RANK": "0", "NODE0_IP": "10.0.0.1"}
    words = bash(form(name, "docker"), env).stdout.splitlines()
    inside = words[words.index(plan.image) + 1 :]
    expected = plan.argv(0, "10.0.0.1")
    if plan.nodes == 1:
        expected[expected.index("--host") + 1] = "0.0.0.0"
        assert words[words.index("--publish") + 1] == "127.0.0.1:30000:30000"
    else:
        assert words[words.index("--network") + 1] == "host"
    assert inside == expected


@pytest.mark.parametrize("name", [ONE, TWO])
def test_the_slurm_form_starts_one_server_a_node(name: str, tmp_path: Path) -> None:
    text = form(name, "slurm")
    assert f"#SBATCH --nodes={profile(name).nodes}\n" in text
    assert "#SBATCH --gres=gpu:8\n" in text
    programs = spy(tmp_path, "scontrol", "sglang")
    (tmp_path / "srun").write_text(
        '#!/bin/sh\ncase "$*" in *hostname*) echo 10.0.0.1;; *) shift; exec "$@";; esac\n'
    )
    (tmp_path / "srun").chmod(0o755)
    ran = bash(text, {**programs, "SLURM_NODEID": "1", "SLURM_JOB_NODELIST": "n[1-2]"})
    plan = launch_plan(profile(name), options=SPECIAL)
    rank = 1 if plan.nodes > 1 else 0
    assert ran.stdout.splitlines()[-len(plan.argv()) + 1 :] == plan.argv(rank, "10.0.0.1")[1:]


@pytest.mark.parametrize("name", [ONE, TWO, AMD])
def test_the_compose_form_is_yaml_with_the_plans_words(name: str) -> None:
    service = yaml.safe_load(form(name, "compose"))["services"]["sglang"]
    words = service["command"]
    until = words.index("--host")
    assert words[:until] == in_a_container(name).argv()[:until]
    assert service["ipc"] == "host"
    if profile(name).nodes == 1:
        assert service["ports"] == ["127.0.0.1:30000:30000"]
        assert words[words.index("--host") + 1] == "0.0.0.0"
    else:
        assert service["network_mode"] == "host"


def test_on_amd_a_container_is_given_the_command_of_its_own_version() -> None:
    plan = launch_plan(profile(AMD))
    assert "--enable-aiter-allreduce-fusion" in plan.form("shell")
    for kind in ("docker", "compose", "k8s", "skypilot"):
        text = plan.form(kind)
        assert "sglang-rocm:v0.5.12.post1" in text
        assert "SGLang 0.5.12.post1; computed" in text
        assert "--enable-aiter-allreduce-fusion" not in text  # it came with 0.5.13


@pytest.mark.parametrize("kind", ["shell", "docker", "compose"])
@pytest.mark.parametrize("name", [ONE, TWO])
def test_a_form_says_how_it_is_reached_from_elsewhere(name: str, kind: str) -> None:
    text = form(name, kind)
    assert "ssh -N -L 30000:localhost:30000" in text
    assert "https://HUB/user/NAME/proxy/30000/v1" in text


def test_a_form_may_be_pasted_into_a_shell_that_goes_on() -> None:
    """`set -e` in a pasted text would end the reader's own shell."""
    for name in (ONE, TWO):
        for kind in ("shell", "docker"):
            assert "set -e" not in form(name, kind)


def test_room_for_large_media_is_taken_once() -> None:
    plan = launch_plan(profile(ONE), large_media=True)
    for kind in FORMS:
        assert "0.75" in plan.form(kind).replace('"', "")
        assert "0.7 " not in plan.form(kind)


def test_kubernetes_asks_for_a_key_because_pods_reach_each_other() -> None:
    deployment, service = yaml.safe_load_all(form(ONE, "k8s"))
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    words = container["command"]
    assert words[words.index("--api-key") + 1] == "$(KIT_API_KEY)"
    assert container["env"][0]["valueFrom"]["secretKeyRef"]["key"] == "key"
    assert container["resources"]["limits"] == {"nvidia.com/gpu": "8"}
    assert service["spec"]["selector"] == deployment["spec"]["selector"]["matchLabels"]


def test_two_nodes_on_kubernetes_are_a_leader_and_a_worker() -> None:
    workers, service = yaml.safe_load_all(form(TWO, "k8s"))
    assert workers["kind"] == "LeaderWorkerSet"
    group = workers["spec"]["leaderWorkerTemplate"]
    assert group["size"] == 2
    for template in (group["leaderTemplate"], group["workerTemplate"]):
        words = template["spec"]["containers"][0]["command"]
        assert words[words.index("--node-rank") + 1] == "$(LWS_WORKER_INDEX)"
        assert words[words.index("--dist-init-addr") + 1] == "$(LWS_LEADER_ADDRESS):20000"
    assert service["spec"]["selector"]["role"] == "leader"


@pytest.mark.parametrize("name", [ONE, TWO])
def test_the_skypilot_form_runs_the_plans_words(name: str, tmp_path: Path) -> None:
    task = yaml.safe_load(form(name, "skypilot"))
    plan = launch_plan(profile(name), options=SPECIAL)
    assert task["num_nodes"] == plan.nodes
    assert task["resources"]["accelerators"] == f"{profile(name).gpu.key.upper()}:8"
    assert "ports" not in task["resources"]
    env = {
        **spy(tmp_path, "sglang"), "SKYPILOT_NODE_RANK": "1",
        "SKYPILOT_NODE_IPS": "10.0.0.1\n10.0.0.2",
    }  # fmt: skip
    ran = bash(task["run"], env)
    rank = 1 if plan.nodes > 1 else 0
    assert ran.stdout.splitlines() == plan.argv(rank, "10.0.0.1")[1:], ran.stderr


def test_a_template_that_asks_for_what_nobody_gave_is_an_error(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    real = load_data.text
    monkeypatch.setattr(load_data, "text", lambda name: real(name) + "{{ ports }}")
    render._templates.cache_clear()
    try:
        with pytest.raises(jinja2.UndefinedError, match="ports"):
            launch_plan(profile(ONE)).form("shell")
    finally:
        render._templates.cache_clear()


def test_a_plan_is_made_without_loading_jinja2() -> None:
    code = (
        "import sys; from kit.launch import launch_plan; from kit.hardware import profile;"
        "launch_plan(profile('h200x8')).shell(); print('jinja2' in sys.modules)"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout == "False\n"


def test_text_to_paste_is_read_back_as_the_plans_words() -> None:
    plan = launch_plan(profile("h100x16"), options=SPECIAL)
    assert shlex.split(plan.shell(1).replace("\\\n", " ")) == plan.argv(1)


def test_no_form_is_made_for_a_place_it_cannot_run_in() -> None:
    xeon = launch_plan(profile("9b-bf16-xeonx3"))
    assert "--device" in xeon.form("shell")
    for kind in FORMS[1:]:
        with pytest.raises(InvalidValue):
            xeon.form(kind)
    with pytest.raises(UnknownName):
        xeon.form("helm")
