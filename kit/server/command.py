"""What is started: a command, its environment, and what is known of the server it makes.

It comes from a launch plan, as a process or in a container, or from `kit.server.cpu`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from kit.launch import NODE0, LaunchPlan, containers
from kit.sizing import MemoryPlan


@dataclass(frozen=True)
class ServerCommand:
    """A server to be started.

    `env` is added to the environment. `weights_gb` is what its checkpoint takes on disk.
    `outlives` says whether it goes on when the process that started it is gone.
    `stop_argv` ends it where ending its processes would not: a container.
    """

    title: str
    argv: tuple[str, ...]
    host: str
    port: int
    sglang: str
    checkpoint: str
    weights_gb: float
    outlives: bool = True
    env: tuple[tuple[str, str], ...] = ()
    stop_argv: tuple[str, ...] = ()
    gpus: int = 0
    memory: MemoryPlan | None = None
    source: str = "this machine"

    @property
    def url(self) -> str:
        """Where it will answer, as seen from this machine."""
        host = "127.0.0.1" if self.host in ("0.0.0.0", "::") else self.host
        return f"http://{host}:{self.port}"

    @property
    def deadline_s(self) -> float:
        """How long a start may take: five minutes, and the weights read at 0.25 GB/s."""
        return 300 + 4 * self.weights_gb


def of_plan(
    plan: LaunchPlan, *, rank: int = 0, node0: str = NODE0, docker: bool = False
) -> ServerCommand:
    """The command of a plan for one node, as a process here or in SGLang's container."""
    name = f"kit-{plan.port}"
    profile = plan.profile
    here = ServerCommand(
        title=profile.name,
        argv=tuple(plan.argv(rank, node0)),
        env=tuple(plan.env.items()),
        host=plan.host,
        port=plan.port,
        sglang=plan.sglang,
        checkpoint=profile.checkpoint,
        weights_gb=plan.memory.weights_gb,
        gpus=0 if profile.gpu.is_cpu else profile.tp_size // profile.nodes,
        memory=plan.memory,
    )
    if not docker:
        return here
    return replace(
        here,
        argv=tuple(containers.docker_argv(plan, rank, name, node0)),
        env=(),
        host="127.0.0.1",
        stop_argv=("docker", "stop", "--time", "30", name),
        source=f"a container of {containers.image(plan)}",
    )


def is_local(checkpoint: str) -> bool:
    """Whether a checkpoint is a folder rather than a name to download."""
    return Path(checkpoint).is_dir() or checkpoint.startswith((".", "/", "~"))
