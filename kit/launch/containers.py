"""SGLang's containers: which image holds a plan's version, and `docker run` for it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from kit import load_data
from kit.errors import InvalidValue

if TYPE_CHECKING:
    from kit.launch.plan import LaunchPlan

CACHE = "~/.cache/huggingface"
INSIDE = "/root/.cache/huggingface"


@dataclass(frozen=True)
class Container:
    """SGLang's image for one maker's GPUs; data/recipes/images.toml explains the fields."""

    image: str
    about: str
    run: tuple[str, ...]
    sglang: str = ""


@cache
def containers() -> dict[str, Container]:
    """By the maker of the GPU."""
    rows = load_data.toml("recipes/images.toml")
    return {maker: Container(**{**row, "run": tuple(row["run"])}) for maker, row in rows.items()}


def container(plan: LaunchPlan) -> Container:
    """The container for the plan's GPUs. Raises InvalidValue for a CPU."""
    found = containers().get(plan.profile.gpu.maker)
    if found is None:
        raise InvalidValue(
            "there is no ready container of SGLang for Xeon",
            "take the shell form, or build docker/xeon.Dockerfile of SGLang's repository",
        )
    return found


def image(plan: LaunchPlan) -> str:
    """The image that holds the plan's version, or the one nearest to it."""
    found = container(plan)
    arch = "mi35x" if plan.profile.gpu.arch == "gfx950" else "mi30x"
    return found.image.format(version=found.sglang or plan.sglang, arch=arch)


def contained(plan: LaunchPlan) -> LaunchPlan:
    """The plan for the version that its container holds: AMD's are pinned to one."""
    held = container(plan).sglang or plan.sglang
    return plan if held == plan.sglang else plan.anew(held)


def inside(plan: LaunchPlan) -> LaunchPlan:
    """The plan as it runs in a container, on all addresses of the container's own network."""
    if plan.nodes > 1:
        return plan  # on the machine's network: its addresses stay closed
    flags = tuple(replace(f, value="0.0.0.0") if f.key == "host" else f for f in plan.flags)
    return replace(plan, flags=flags)


def docker_argv(
    plan: LaunchPlan, rank: int = 0, name: str = "sglang", node0: str = ""
) -> list[str]:
    """`docker run …` in the foreground, as a list of words to start a process with."""
    plan = inside(contained(plan))
    words = plan.argv(rank, node0) if plan.nodes > 1 else plan.argv()
    return [*docker_run(plan, name, str(Path(CACHE).expanduser())), image(plan), *words]


def docker_run(plan: LaunchPlan, name: str, cache_folder: str) -> list[str]:
    """`docker run` and its options, up to the image."""
    network = ["--network", "host"]
    if plan.nodes == 1:
        network = ["--publish", f"{plan.host}:{plan.port}:{plan.port}"]
    infiniband = ["--device=/dev/infiniband", "--ulimit", "memlock=-1"] if plan.nodes > 1 else []
    env = [w for n, v in plan.env.items() for w in ("--env", f"{n}={v}")]
    return [
        *("docker", "run", "--rm", "--name", name),
        *container(plan).run,
        *("--ipc=host", "--shm-size", "32g"),
        *network,
        *infiniband,
        *("--volume", f"{cache_folder}:{INSIDE}", "--env", "HF_TOKEN"),
        *env,
    ]
