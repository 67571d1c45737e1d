"""A launch plan as text for the place it is to run in: jinja2 templates of data/recipes.

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
from collections.abc import Iterable
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

from kit import load_data
from kit.errors import InvalidValue, UnknownName
from kit.launch.containers import contained, container, docker_run, image, inside

if TYPE_CHECKING:
    import jinja2

    from kit.launch.plan import LaunchPlan

TEMPLATES = {
    "shell": "shell.sh.j2",
    "docker": "docker.sh.j2",
    "compose": "compose.yaml.j2",
    "slurm": "slurm.sh.j2",
    "k8s": "k8s.yaml.j2",
    "skypilot": "skypilot.yaml.j2",
}
FORMS = tuple(TEMPLATES)
_RANK, _NODE0, _KEY = "${NODE_RANK}", "${NODE0_IP}", "$KIT_API_KEY"


class Way(NamedTuple):
    """How a server that listens on 127.0.0.1 is reached from elsewhere; {port} is its port."""

    by: str
    how: str


class SkyPilotNames(NamedTuple):
    """SkyPilot's names of GPUs where they are not ours in capitals, and GPUs that no cloud has."""

    own_cluster: list[str]
    names: dict[str, str]


def render(plan: LaunchPlan, form: str) -> str:
    """The plan in one of FORMS. Raises UnknownName; InvalidValue where it cannot run there."""
    if form not in FORMS:
        raise UnknownName("form", form, FORMS)
    if form in ("docker", "compose", "k8s", "skypilot"):
        plan = contained(plan)
    if form == "k8s" and (plan.nodes > 1 or not plan.options.api_key):
        # on a network that others are on: on all addresses, with a key
        plan = plan.anew(plan.sglang, host="0.0.0.0", api_key=True)
    values = {
        "shell": _shell,
        "docker": _docker,
        "compose": _compose,
        "slurm": _slurm,
        "k8s": _k8s,
        "skypilot": _skypilot,
    }[form](plan)
    return template(TEMPLATES[form]).render(**_common(plan), **values)


def ways(port: int) -> tuple[str, ...]:
    """How a server that listens on 127.0.0.1 is reached from elsewhere, one line per way."""
    data = load_data.toml("recipes/reach.toml")
    load_data.known_keys("recipes/reach.toml", data, ("way",))
    rows = [Way(**row) for row in data["way"]]
    return tuple(f"by {way.by}:  {way.how.format(port=port)}" for way in rows)


def template(name: str) -> jinja2.Template:
    """A template of data/recipes. It refuses a name without a value."""
    return _templates().get_template(name)


@cache
def _templates() -> jinja2.Environment:
    """Templates that refuse a name without a value; shell and YAML keep their dollars."""
    import jinja2

    made = jinja2.Environment(
        loader=jinja2.FunctionLoader(lambda name: load_data.text(f"recipes/{name}")),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    made.filters["json"] = json.dumps  # jinja2's own `tojson` escapes for HTML
    return made


def _common(plan: LaunchPlan) -> dict[str, Any]:
    p = plan.profile
    return {
        "title": f"{p}; SGLang {plan.sglang}; {plan.provenance.kind} by kit.launch",
        "name": _name(plan),
        "sglang": plan.sglang,
        "nodes": plan.nodes,
        "port": plan.port,
        "gpus_per_node": p.tp_size // plan.nodes,
        "amd": p.gpu.is_amd,
        "env": plan.env,
        "weights_gb": f"{plan.memory.weights_gb:,.0f}",
        "reach": ways(plan.port),
    }


def _shell(plan: LaunchPlan) -> dict[str, Any]:
    return {"command": _command(plan)}


def _docker(plan: LaunchPlan) -> dict[str, Any]:
    run = docker_run(plan, _name(plan), "$HOME/.cache/huggingface")
    return {
        "image": image(plan),
        "image_about": container(plan).about,
        "publish": plan.host,
        "command": " \\\n  ".join([_typed(run), image(plan), _typed(_words(inside(plan)))]),
    }


def _compose(plan: LaunchPlan) -> dict[str, Any]:
    variables = {
        _RANK: "${NODE_RANK:?0 on the first machine, 1 on the second}",
        _NODE0: "${NODE0_IP:?address of the first machine}",
        _KEY: "${KIT_API_KEY:?a key of your choice}",
    }
    return {
        "image": image(plan),
        "publish": plan.host,
        "words": _words(inside(plan), variables),
        "start_minutes": math.ceil(_start_s(plan) / 60),
    }


def _slurm(plan: LaunchPlan) -> dict[str, Any]:
    if plan.profile.gpu.is_cpu:
        raise InvalidValue("the Slurm form asks for GPUs", "take the shell form for Xeon")
    return {"command": _command(plan)}


def _k8s(plan: LaunchPlan) -> dict[str, Any]:
    variables = {
        _RANK: "$(LWS_WORKER_INDEX)",
        _NODE0: "$(LWS_LEADER_ADDRESS)",
        _KEY: "$(KIT_API_KEY)",
    }
    return {
        "image": image(plan),
        "gpu_resource": "amd.com/gpu" if plan.profile.gpu.is_amd else "nvidia.com/gpu",
        "words": _words(plan, variables),
        "probes": math.ceil(_start_s(plan) / 30),
    }


def _skypilot(plan: LaunchPlan) -> dict[str, Any]:
    gpu, sky = plan.profile.gpu, SkyPilotNames(**load_data.toml("recipes/skypilot.toml"))
    return {
        "image": image(plan),
        "gpu": gpu.name,
        "sky_gpu": sky.names.get(gpu.key, gpu.key.upper()),
        "own_cluster": gpu.key in sky.own_cluster,
        "disk_gb": max(256, math.ceil(plan.memory.weights_gb * 1.3)),
        "command": _command(plan),
    }


def _name(plan: LaunchPlan) -> str:
    return f"qwen35-{plan.profile.name}".replace(".", "-")


def _start_s(plan: LaunchPlan) -> float:
    """Seconds that a start may take: some minutes, and four seconds per GB of weights."""
    return 300 + 4 * plan.memory.weights_gb


def _command(plan: LaunchPlan) -> str:
    env = ["env", *(f"{name}={value}" for name, value in plan.env.items())] if plan.env else []
    return _typed([*env, *_words(plan)])


def _words(plan: LaunchPlan, variables: dict[str, str] | None = None) -> list[str]:
    """The command, its rank, first node and key as variables of the shell, or as given."""
    words = plan.argv(0, _NODE0)
    if plan.nodes > 1:
        words[words.index("--node-rank") + 1] = _RANK
    for old, new in (variables or {}).items():
        words = [word.replace(old, new) for word in words]
    return words


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
