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
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from kit import load_data
from kit.errors import InvalidValue, UnknownName
from kit.launch.containers import again, contained, docker_run, image, images, inside, recipe
from kit.provenance import Provenance

if TYPE_CHECKING:
    from kit.launch.plan import LaunchPlan

FORMS = ("shell", "docker", "compose", "slurm", "k8s", "skypilot")
_NODE0 = "${NODE0_IP}"
_RANK = "${NODE_RANK}"


class _Template(string.Template):
    delimiter = "@"  # shell and YAML keep their dollars


def render(plan: LaunchPlan, form: str) -> str:
    """The plan in one of FORMS. Raises UnknownName; InvalidValue where it cannot run there."""
    if form not in FORMS:
        raise UnknownName("form", form, FORMS)
    if form in ("docker", "compose", "k8s", "skypilot"):
        plan = contained(plan)
    fill = {
        "shell": _shell,
        "docker": _docker,
        "compose": _compose,
        "slurm": _slurm,
        "k8s": _k8s,
        "skypilot": _skypilot,
    }[form]
    return fill(plan)


def ways(port: int) -> tuple[str, ...]:
    """How a server that listens on 127.0.0.1 is reached from elsewhere, a line each."""
    return tuple(
        f"by {way['by']}:  {way['how']}".format(port=port)
        for way in load_data.toml("recipes/reach.toml")["way"]
    )


def _words(plan: LaunchPlan, rank: str = _RANK, node0: str = _NODE0) -> list[str]:
    """The command with the rank and the first node's address left to variables."""
    return [
        rank if before == "--node-rank" else word
        for before, word in zip(["", *plan.argv(0, node0)], plan.argv(0, node0), strict=False)
    ]


def _typed(words: Iterable[str]) -> str:
    """Words for a shell, a flag and its value per line; variables stay variables."""
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
        "gpus_per_node": p.tp_size // plan.nodes,
        "weights_gb": f"{plan.memory.weights_gb:,.0f}",
        "reach": "\n".join(f"# From elsewhere {way}" for way in ways(plan.port)),
    }


def _fill(template: str, /, **given: Any) -> str:
    return _Template(recipe(template)).substitute(given)


def _suffix(plan: LaunchPlan) -> str:
    return "1" if plan.nodes == 1 else "n"


def _env_words(plan: LaunchPlan) -> list[str]:
    return ["env", *(f"{n}={v}" for n, v in plan.env.items())] if plan.env else []


def _shell(plan: LaunchPlan) -> str:
    command = _typed([*_env_words(plan), *_words(plan)])
    return _fill(f"shell-{_suffix(plan)}.sh", **_common(plan), command=command)


def _docker(plan: LaunchPlan) -> str:
    run = docker_run(plan, _common(plan)["name"], "$HOME/.cache/huggingface")
    return _fill(
        f"docker-{_suffix(plan)}.sh",
        **_common(plan),
        image=image(plan),
        image_about=images(plan)["about"],
        publish=plan.host,
        command=" \\\n  ".join([_typed(run), image(plan), _typed(_words(inside(plan)))]),
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
    words = [_with(needed, word) for word in _words(inside(plan))]
    return _fill(
        f"compose-{_suffix(plan)}.yaml",
        **_common(plan),
        image=image(plan),
        publish=plan.host,
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
        # on a network that others are on: on all addresses, with a key
        plan = again(plan, plan.sglang, host="0.0.0.0", api_key=True)
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
    sky = load_data.toml("recipes/skypilot.toml")
    alone = f"# No cloud of SkyPilot's has {gpu.name}: a Kubernetes cluster of your own.\n"
    return _fill(
        "skypilot.yaml",
        **_common(plan),
        image=image(plan),
        sky_gpu=sky["names"].get(gpu.key, gpu.key.upper()),
        where=alone if gpu.key in sky["own_cluster"] else "",
        disk_gb=max(256, math.ceil(plan.memory.weights_gb * 1.3)),
        run_2=_indented(run, 2),
    )
