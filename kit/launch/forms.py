"""A launch plan as text for the place it is to run in: templates of data/recipes, filled in.

    shell     bash on each machine
    docker    `docker run` on each machine
    compose   a compose file
    slurm     an sbatch script
    k8s       a Deployment, or a LeaderWorkerSet for several nodes
    skypilot  a SkyPilot task

None opens the server to the network: containers publish on 127.0.0.1, and in
Kubernetes, where pods reach each other, it asks for a key.
"""

from __future__ import annotations

import json
import math
import re
import shlex
import string
import tomllib
from collections.abc import Iterable
from dataclasses import replace
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kit.errors import InvalidValue, UnknownName
from kit.provenance import Provenance

if TYPE_CHECKING:
    from kit.launch import LaunchPlan

FORMS = ("shell", "docker", "compose", "slurm", "k8s", "skypilot")
CACHE = "~/.cache/huggingface"
INSIDE = "/root/.cache/huggingface"
LOOPBACK = "127.0.0.1"
_NODE0 = "${NODE0_IP}"
_RANK = "${NODE_RANK}"


class _Template(string.Template):
    delimiter = "@"  # shell and YAML keep their dollars


@cache
def _recipe(name: str) -> str:
    return (files("kit") / "data" / "recipes" / name).read_text(encoding="utf-8")


def render(plan: LaunchPlan, form: str) -> str:
    """The plan in one of FORMS. Raises UnknownName; InvalidValue where it cannot run there."""
    if form not in FORMS:
        raise UnknownName("form", form, FORMS)
    fill = {
        "shell": _shell,
        "docker": _docker,
        "compose": _compose,
        "slurm": _slurm,
        "k8s": _k8s,
        "skypilot": _skypilot,
    }[form]
    return fill(plan)


def image(plan: LaunchPlan) -> str:
    """The container that holds the plan's version."""
    arch = "mi35x" if plan.profile.gpu.key == "mi355x" else "mi30x"
    held: str = _images(plan)["image"]
    return held.format(version=plan.sglang, arch=arch)


def _images(plan: LaunchPlan) -> dict[str, Any]:
    gpu = plan.profile.gpu
    if gpu.is_cpu:
        raise InvalidValue(
            "there is no ready container of SGLang for Xeon",
            "take the shell form, or build docker/xeon.Dockerfile of SGLang's repository",
        )
    table: dict[str, dict[str, Any]] = tomllib.loads(_recipe("images.toml"))
    return table["amd" if gpu.is_amd else "nvidia"]


def docker_argv(
    plan: LaunchPlan, rank: int = 0, name: str = "sglang", node0: str = ""
) -> list[str]:
    """`docker run …` in the foreground, as a list of words for a process of its own."""
    inside = _inside(plan)
    words = inside.argv(rank, node0) if plan.nodes > 1 else inside.argv()
    return [*_docker_run(plan, name, str(Path(CACHE).expanduser())), image(plan), *words]


def _docker_run(plan: LaunchPlan, name: str, cache_folder: str) -> list[str]:
    network = ["--network", "host"]
    if plan.nodes == 1:
        network = ["--publish", f"{_publish(plan)}:{plan.port}:{plan.port}"]
    infiniband = ["--device=/dev/infiniband", "--ulimit", "memlock=-1"] if plan.nodes > 1 else []
    env = [w for n, v in plan.env.items() for w in ("--env", f"{n}={v}")]
    return [
        *("docker", "run", "--rm", "--name", name),
        *_images(plan)["run"],
        *("--ipc=host", "--shm-size", "32g"),
        *network,
        *infiniband,
        *("--volume", f"{cache_folder}:{INSIDE}", "--env", "HF_TOKEN"),
        *env,
    ]


def _publish(plan: LaunchPlan) -> str:
    return plan.host


def _inside(plan: LaunchPlan, port_host: str = "0.0.0.0") -> LaunchPlan:
    """The plan as it runs in a container: on all addresses of a network of its own."""
    if plan.nodes > 1:
        return plan  # the machine's own network: its addresses stay closed
    flags = tuple(replace(f, value=port_host) if f.key == "host" else f for f in plan.flags)
    return replace(plan, flags=flags)


def _words(plan: LaunchPlan, rank: str = _RANK, node0: str = _NODE0) -> list[str]:
    """The command with the rank and the first node's address left to variables."""
    return [
        rank if before == "--node-rank" else word
        for before, word in zip(["", *plan.argv(0, node0)], plan.argv(0, node0), strict=False)
    ]


def _typed(words: Iterable[str]) -> str:
    """Words for a shell, a flag and its value a line; variables stay variables."""
    lines: list[str] = []
    for word in words:
        text = f'"{word}"' if re.search(r"\$\{?[A-Z]", word) else shlex.quote(word)
        if word.startswith("-") or not lines:
            lines.append(text)
        else:
            lines[-1] += f" {text}"
    return " \\\n  ".join(lines)


def _listed(words: Iterable[str], indent: int) -> str:
    return "\n".join(f"{' ' * indent}- {json.dumps(word)}" for word in words)


def _common(plan: LaunchPlan) -> dict[str, Any]:
    p = plan.profile
    label: Provenance = plan.provenance
    return {
        "title": f"{p}; SGLang {plan.sglang}; {label.kind} by kit.launch",
        "name": f"qwen35-{p.name}".replace(".", "-"),
        "sglang": plan.sglang,
        "nodes": plan.nodes,
        "port": plan.port,
        "gpus_a_node": p.tp_size // plan.nodes,
        "weights_gb": f"{plan.memory.weights_gb:,.0f}",
    }


def _fill(template: str, /, **given: Any) -> str:
    return _Template(_recipe(template)).substitute(given)


def _suffix(plan: LaunchPlan) -> str:
    return "1" if plan.nodes == 1 else "n"


def _env_words(plan: LaunchPlan) -> list[str]:
    return ["env", *(f"{n}={v}" for n, v in plan.env.items())] if plan.env else []


def _shell(plan: LaunchPlan) -> str:
    command = _typed([*_env_words(plan), *_words(plan)])
    return _fill(f"shell-{_suffix(plan)}.sh", **_common(plan), command=command)


def _docker(plan: LaunchPlan) -> str:
    run = [*_docker_run(plan, _common(plan)["name"], "$HOME/.cache/huggingface"), image(plan)]
    return _fill(
        f"docker-{_suffix(plan)}.sh",
        **_common(plan),
        image=image(plan),
        image_about=_images(plan)["about"],
        publish=_publish(plan),
        command=f"{_typed(run)} \\\n  {_typed(_words(_inside(plan)))}",
    )


def _compose(plan: LaunchPlan) -> str:
    env = "".join(
        f"      {n}: {json.dumps(v)}\n"
        for n, v in {"HF_TOKEN": "${HF_TOKEN:-}", **plan.env}.items()
    )
    needed = {
        _RANK: "${NODE_RANK:?0 on the first machine, 1 on the second}",
        "${NODE0_IP}": "${NODE0_IP:?address of the first machine}",
        "$KIT_API_KEY": "${KIT_API_KEY:?a key of your choice}",
    }
    words = [_with(needed, word) for word in _words(_inside(plan))]
    return _fill(
        f"compose-{_suffix(plan)}.yaml",
        **_common(plan),
        image=image(plan),
        publish=_publish(plan),
        words_6=_listed(words, 6),
        environment_4=f"    environment:\n{env}",
        devices_4=_compose_devices(plan),
        patience=f"{math.ceil((300 + 4 * plan.memory.weights_gb) / 60)}m",
    )


def _with(replacements: dict[str, str], word: str) -> str:
    for old, new in replacements.items():
        word = word.replace(old, new)
    return word


def _compose_devices(plan: LaunchPlan) -> str:
    if plan.profile.gpu.is_amd:
        return "    devices:\n      - /dev/kfd\n      - /dev/dri\n    group_add:\n      - video"
    return (
        "    deploy:\n      resources:\n        reservations:\n          devices:\n"
        "            - driver: nvidia\n              count: all\n              capabilities: [gpu]"
    )


def _slurm(plan: LaunchPlan) -> str:
    if plan.profile.gpu.is_cpu:
        raise InvalidValue("the Slurm form asks for GPUs", "take the shell form for Xeon")
    command = _typed([*_env_words(plan), *_words(plan)])
    if "'" in command:  # the command stands between single quotes there
        command = command.replace("'", "'\\''")
    return _fill("slurm.sh", **_common(plan), command=command)


def _k8s(plan: LaunchPlan) -> str:
    if not plan.options.api_key or plan.nodes > 1:
        plan = _for_pods(plan)
    variables = {_RANK: "$(LWS_WORKER_INDEX)", "${NODE0_IP}": "$(LWS_LEADER_ADDRESS)"}
    words = [_with({**variables, "$KIT_API_KEY": "$(KIT_API_KEY)"}, word) for word in _words(plan)]
    common = {
        **_common(plan),
        "image": image(plan),
        "gpu_resource": "amd.com/gpu" if plan.profile.gpu.is_amd else "nvidia.com/gpu",
        "probes": math.ceil((300 + 4 * plan.memory.weights_gb) / 30),
    }
    if plan.nodes == 1:
        return _fill(
            "k8s-1.yaml", **common, words_12=_listed(words, 12), pod_env_12=_pod_env(plan, 12)
        )
    pods = {
        key: _indented(
            _fill(
                "k8s-pod.yaml",
                **common,
                words_6=_listed(words, 6),
                pod_env_6=_pod_env(plan, 6),
                probe=probe,
            ),
            8,
        )
        for key, probe in (("pod_8", _probe(plan)), ("worker_pod_8", ""))
    }
    return _fill("k8s-n.yaml", **common, **pods)


def _for_pods(plan: LaunchPlan) -> LaunchPlan:
    """The plan for a network that others are on: on all addresses, with a key."""
    from kit.launch import launch_plan

    options = replace(plan.options, host="0.0.0.0", api_key=True)
    return launch_plan(plan.profile, plan.sglang, options)


def _probe(plan: LaunchPlan) -> str:
    return (
        "    readinessProbe:\n      httpGet:\n        path: /health\n"
        f"        port: {plan.port}\n      periodSeconds: 15\n"
    )


def _pod_env(plan: LaunchPlan, indent: int) -> str:
    name = _common(plan)["name"]
    lines = [
        "- name: KIT_API_KEY",
        "  valueFrom:",
        "    secretKeyRef:",
        f"      name: {name}-key",
        "      key: key",
    ]
    for variable, value in plan.env.items():
        lines += [f"- name: {variable}", f"  value: {json.dumps(value)}"]
    return _indented("\n".join(lines), indent)


def _indented(text: str, by: int) -> str:
    return "\n".join(f"{' ' * by}{line}" if line else line for line in text.rstrip().split("\n"))


def _skypilot(plan: LaunchPlan) -> str:
    gpu = plan.profile.gpu
    if gpu.is_cpu:
        raise InvalidValue("the SkyPilot form asks for GPUs", "take the shell form for Xeon")
    ranks = (
        'export NODE_RANK="$SKYPILOT_NODE_RANK"\n'
        'NODE0_IP="$(echo "$SKYPILOT_NODE_IPS" | head -n 1)"\nexport NODE0_IP\n'
        if plan.nodes > 1
        else ""
    )
    run = ranks + _typed([*_env_words(plan), *_words(plan)])
    return _fill(
        "skypilot.yaml",
        **_common(plan),
        image=image(plan),
        sky_gpu=gpu.key.upper(),
        disk_gb=max(256, math.ceil(plan.memory.weights_gb * 1.3)),
        run_2=_indented(run, 2),
    )
