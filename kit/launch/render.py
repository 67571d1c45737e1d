"""A launch plan as text for the place it is to run in: jinja2 templates of data/recipes.

    shell     bash on each machine
    docker    `docker run` on each machine
    compose   a compose file
    slurm     an sbatch script
    k8s       a Deployment, or a LeaderWorkerSet for several nodes
    skypilot  a SkyPilot task

None opens the server to the network: containers publish on 127.0.0.1, and in
Kubernetes, where pods reach each other, it asks for a key.

A name is data: it is written so that the shell, compose and Kubernetes hand it on as it is. What
they are to fill in (the rank, the first node's address, the key) comes from `Variables` alone.
"""

from __future__ import annotations

import json
import math
import re
import shlex
from collections.abc import Callable, Iterable
from functools import cache, partial
from typing import TYPE_CHECKING, Any, NamedTuple

from kit import load_data
from kit.errors import InvalidValue, UnknownName
from kit.launch.containers import INSIDE, contained, container, docker_run, image, inside
from kit.launch.plan_flags import LOOPBACK

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


class Variables(NamedTuple):
    """How a form writes what is filled in where it runs."""

    rank: str
    node0: str
    key: str


_SHELL = Variables("${NODE_RANK}", "${NODE0_IP}", "$KIT_API_KEY")
_COMPOSE = Variables(
    "${NODE_RANK:?0 on the first machine, 1 on the second}",
    "${NODE0_IP:?address of the first machine}",
    "${KIT_API_KEY:?a key of your choice}",
)
_K8S = Variables("$(LWS_WORKER_INDEX)", "$(LWS_LEADER_ADDRESS)", "$(KIT_API_KEY)")


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
    if form == "k8s" and plan.host in LOOPBACK:
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
    return template(TEMPLATES[form]).render({**_common(plan), **values})


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
    # jinja2's own `tojson` escapes for HTML; YAML reads no surrogate pairs, so letters stay
    made.filters["json"] = partial(json.dumps, ensure_ascii=False)
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
    cache_folder = "$HOME/.cache/huggingface"  # the shell's to fill in
    run = docker_run(plan, _name(plan), cache_folder)
    volume = f"{cache_folder}:{INSIDE}"
    typed = [f'"{word}"' if word == volume else shlex.quote(word) for word in run]
    return {
        "image": image(plan),
        "image_about": container(plan).about,
        "publish": plan.host,
        "command": " \\\n  ".join([_lines(typed), image(plan), _lines(_typed(inside(plan)))]),
    }


def _compose(plan: LaunchPlan) -> dict[str, Any]:
    return {
        "image": image(plan),
        "publish": plan.host,
        "env": {name: _compose_data(value) for name, value in plan.env.items()},
        "words": _words(inside(plan), _COMPOSE, _compose_data),
        "start_minutes": math.ceil(_start_s(plan) / 60),
    }


def _slurm(plan: LaunchPlan) -> dict[str, Any]:
    if plan.profile.gpu.is_cpu:
        raise InvalidValue("the Slurm form asks for GPUs", "take the shell form for Xeon")
    return {"command": _command(plan)}


def _k8s(plan: LaunchPlan) -> dict[str, Any]:
    return {
        "image": image(plan),
        "gpu_resource": "amd.com/gpu" if plan.profile.gpu.is_amd else "nvidia.com/gpu",
        "env": {name: _k8s_data(value) for name, value in plan.env.items()},
        "words": _words(plan, _K8S, _k8s_data),
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
    """A name that Kubernetes, Slurm, SkyPilot and Docker all take."""
    plain = re.sub(r"[^a-z0-9]+", "-", f"qwen35-{plan.profile.name}".lower())
    return plain[:50].strip("-")  # Kubernetes: 63 characters, some of them its own


def _start_s(plan: LaunchPlan) -> float:
    """Seconds that a start may take: some minutes, and four seconds per GB of weights."""
    return 300 + 4 * plan.memory.weights_gb


def _command(plan: LaunchPlan) -> str:
    env = ["env", *(shlex.quote(f"{name}={value}") for name, value in plan.env.items())]
    return _lines([*(env if plan.env else []), *_typed(plan)])


def _typed(plan: LaunchPlan) -> list[str]:
    """The command as words of a shell."""
    return _words(plan, _SHELL, shlex.quote, lambda variable: f'"{variable}"')


def _words(
    plan: LaunchPlan,
    variables: Variables,
    data: Callable[[str], str],
    filled_in: Callable[[str], str] = str,
) -> list[str]:
    """The command word by word: `data` writes what is to arrive as it is."""
    by_key = {
        "node_rank": variables.rank,
        "dist_init_addr": f"{variables.node0}:{plan.options.dist_port}",
        "api_key": variables.key,
    }
    words = [data(word) for word in plan.launcher]
    for flag in plan.node_flags():
        words.append(flag.name)
        if flag.key in by_key:
            words.append(filled_in(by_key[flag.key]))
        elif flag.value is not None:
            words.append(data(flag.value))
    return words


def _compose_data(word: str) -> str:
    """Compose fills in every `$`, and reads `$$` as one."""
    return word.replace("$", "$$")


def _k8s_data(word: str) -> str:
    """Kubernetes fills in `$(NAME)`, and reads `$$` as one `$`."""
    return re.sub(r"\$(?=[$(])", "$$", word)


def _lines(words: Iterable[str]) -> str:
    """Words of a shell, a flag and its value per line."""
    lines: list[str] = []
    for word in words:
        if word.startswith("-") or not lines:
            lines.append(word)
        else:
            lines[-1] += f" {word}"
    return " \\\n  ".join(lines)
