"""SGLang's containers: which image holds a plan's version, and `docker run` for it."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kit import load_data
from kit.errors import InvalidValue

if TYPE_CHECKING:
    from kit.launch.plan import LaunchPlan

CACHE = "~/.cache/huggingface"
INSIDE = "/root/.cache/huggingface"


@cache
def recipe(name: str) -> str:
    """A file of data/recipes."""
    return load_data.text(f"recipes/{name}")


def images(plan: LaunchPlan) -> dict[str, Any]:
    """The row of images.toml for the plan's accelerator. Raises InvalidValue for a CPU."""
    gpu = plan.profile.gpu
    if gpu.is_cpu:
        raise InvalidValue(
            "there is no ready container of SGLang for Xeon",
            "take the shell form, or build docker/xeon.Dockerfile of SGLang's repository",
        )
    table: dict[str, dict[str, Any]] = load_data.toml("recipes/images.toml")
    return table["amd" if gpu.is_amd else "nvidia"]


def image(plan: LaunchPlan) -> str:
    """The container that holds the plan's version, or the one nearest to it."""
    row = images(plan)
    arch = "mi35x" if plan.profile.gpu.key == "mi355x" else "mi30x"
    held: str = row["image"]
    return held.format(version=row.get("sglang", plan.sglang), arch=arch)


def contained(plan: LaunchPlan) -> LaunchPlan:
    """The plan for the version that its container holds: AMD's are pinned to one."""
    held = images(plan).get("sglang", plan.sglang)
    return plan if held == plan.sglang else again(plan, held)


def again(plan: LaunchPlan, sglang: str, **changed: Any) -> LaunchPlan:
    """The plan made anew for another version, or with options changed."""
    from kit.launch.plan import launch_plan

    # what large media need has been taken from the profile's fraction already
    options = replace(plan.options, large_media=False, **changed)
    return launch_plan(plan.profile, sglang, options)


def inside(plan: LaunchPlan) -> LaunchPlan:
    """The plan as it runs in a container: on all addresses of a network of its own."""
    if plan.nodes > 1:
        return plan  # the machine's own network: its addresses stay closed
    flags = tuple(replace(f, value="0.0.0.0") if f.key == "host" else f for f in plan.flags)
    return replace(plan, flags=flags)


def docker_argv(
    plan: LaunchPlan, rank: int = 0, name: str = "sglang", node0: str = ""
) -> list[str]:
    """`docker run …` in the foreground, as a list of words for a process of its own."""
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
        *images(plan)["run"],
        *("--ipc=host", "--shm-size", "32g"),
        *network,
        *infiniband,
        *("--volume", f"{cache_folder}:{INSIDE}", "--env", "HF_TOKEN"),
        *env,
    ]
