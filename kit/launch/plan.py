"""Profile + SGLang version → LaunchPlan: the command, and a reason for each flag.

    >>> launch_plan(profile("h200x8")).argv()[:4]
    ['sglang', 'serve', '--model-path', 'Qwen/Qwen3.5-397B-A17B']

A plan is a list of flags, each with its value, why it is there and who says
so. The shell text, the tooltips and the lesson's table are drawn from it.
Names are written out in full: SGLang takes `--tp` only as an abbreviation.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from kit.errors import InvalidValue
from kit.hardware import SGLANG, Profile
from kit.launch import containers, validate
from kit.launch.flags import LeftOut, Variable, left_out
from kit.launch.plan_flags import Flag, FlagMaker, LaunchOptions, flags_of, variables_of
from kit.launch.render import render, ways
from kit.provenance import Provenance, computed
from kit.sizing import MemoryPlan, explain, plan
from kit.sizing.accounting import parse

NODE0 = "NODE0_IP"  # to be replaced by the first machine's address
SINGLE_LAUNCHER = "0.5.14"  # from here on the plan says `sglang serve`


@dataclass(frozen=True)
class LaunchPlan:
    """What to type to serve `profile` on SGLang `sglang`; on each node, where there are several.

    `flags` hold for every node; `node_flags(rank)` adds what differs. `left_out` names
    what the source pages have and this version does not need; `warnings` what to watch.
    """

    profile: Profile
    sglang: str
    flags: tuple[Flag, ...]
    memory: MemoryPlan
    provenance: Provenance
    options: LaunchOptions = field(default_factory=LaunchOptions)
    variables: tuple[Variable, ...] = ()
    left_out: tuple[LeftOut, ...] = ()
    warnings: tuple[str, ...] = ()

    @property
    def nodes(self) -> int:
        return self.profile.nodes

    @property
    def host(self) -> str:
        return self.options.host

    @property
    def port(self) -> int:
        return self.options.port

    @property
    def env(self) -> dict[str, str]:
        """Variables of the environment that the server needs."""
        return {v.name: v.value for v in self.variables}

    def anew(self, sglang: str, **changed: Any) -> LaunchPlan:
        """This plan for another version, or with options changed."""
        # what large media need has been taken from the profile's fraction already
        options = replace(self.options, large_media=False, **changed)
        return launch_plan(self.profile, sglang, options)

    @property
    def launcher(self) -> tuple[str, ...]:
        if parse(self.sglang) < parse(SINGLE_LAUNCHER):
            return ("python", "-m", "sglang.launch_server")
        return ("sglang", "serve")

    def node_flags(self, rank: int = 0, node0: str = NODE0) -> tuple[Flag, ...]:
        """Every flag for the node of this rank; two nodes differ only in `--node-rank`."""
        if self.nodes == 1:
            return self.flags
        address = f"{node0}:{self.options.dist_port}"
        flag = FlagMaker(self.sglang, {"nodes": self.nodes})
        return (
            *self.flags,
            flag("nnodes", str(self.nodes)),
            flag("node_rank", str(rank)),
            flag("dist_init_addr", address),
        )

    def argv(self, rank: int = 0, node0: str = NODE0) -> list[str]:
        """The command as a list of words, to start a process with."""
        return [*self.launcher, *(w for f in self.node_flags(rank, node0) for w in f.words)]

    def shell(self, rank: int = 0, node0: str = NODE0) -> str:
        """The command as text to paste, one flag per line."""
        env = [f"{name}={shlex.quote(value)}" for name, value in self.env.items()]
        head = " ".join([*env, *self.launcher])
        return " \\\n  ".join([head, *(flag.text() for flag in self.node_flags(rank, node0))])

    @property
    def image(self) -> str:
        """The container that holds this version."""
        return containers.image(self)

    def form(self, name: str) -> str:
        """The plan as shell, docker, compose, slurm, k8s or skypilot text. Raises UnknownName."""
        return render(self, name)

    def to_json(self) -> dict[str, Any]:
        return {
            "profile": self.profile.name,
            "sglang": self.sglang,
            "argv": self.argv(),
            "env": self.env,
            "flags": [flag.to_json() for flag in self.node_flags()],
            "left_out": [one.to_json() for one in self.left_out],
            "warnings": list(self.warnings),
            "nodes": [self.argv(rank) for rank in range(self.nodes)],
            "provenance": self.provenance.to_json(),
        }

    def __str__(self) -> str:
        commands = (
            [self.shell()]
            if self.nodes == 1
            else [f"# node {r}\n{self.shell(r)}" for r in range(self.nodes)]
        )
        width = max(len(" ".join(f.words)) for f in self.node_flags() if len(f.value or "") < 60)
        why = [f"{' '.join(f.words):<{width}}  {f.reason}" for f in self.node_flags()]
        why += [f"{v.name}={v.value}  {v.reason}" for v in self.variables]
        absent = [f"{one.flag}: {one.reason}" for one in self.left_out]
        parts = [*commands, "\n".join(why)]
        parts += ["left out:\n" + "\n".join(absent)] if absent else []
        parts += [f"mind: {warning}" for warning in self.warnings]
        parts += ["from elsewhere:\n" + "\n".join(ways(self.port))]
        return "\n\n".join([*parts, str(self.provenance)])

    def _repr_mimebundle_(self, **_: Any) -> dict[str, str]:
        return {
            "text/markdown": self._repr_markdown_(),
            "text/plain": f"{self.shell()}\n# {self.provenance}",
        }

    def _repr_markdown_(self) -> str:
        rows = "\n".join(
            f"| {_code(' '.join(f.words))} | {_plain(f.reason)} | {f.source} |"
            for f in self.node_flags()
        )
        table = f"| flag | why | who says so |\n|---|---|---|\n{rows}"
        return f"```bash\n{self.shell()}\n```\n\n{table}\n\n*{self.provenance.short}*"


def launch_plan(
    profile: Profile, sglang: str = SGLANG, options: LaunchOptions | None = None, **given: Any
) -> LaunchPlan:
    """The command for a profile, flag by flag. `given` are fields of `LaunchOptions`.

    Raises InvalidValue for a version older than 0.5.9, for a profile that does not
    start on its GPUs, and for options that do not go together.
    """
    chosen = replace(options or LaunchOptions(), **given)
    profile = validate.resolved(profile, sglang, chosen)
    validate.options_go_together(profile, chosen)
    memory = plan(profile, sglang=sglang)
    if not memory.starts:
        raise InvalidValue(
            f"{profile.name} does not fit: {explain(memory).reasons[0]}", _what_would(memory)
        )
    flags = tuple(flags_of(profile, sglang, memory, chosen))
    source = f"kit.launch for {profile.name}, after {profile.source}, SGLang {sglang}"
    return LaunchPlan(
        profile=profile,
        sglang=sglang,
        flags=flags,
        memory=memory,
        provenance=computed(source),
        options=chosen,
        variables=tuple(variables_of(profile, sglang)),
        left_out=tuple(left_out(profile, sglang, {f.name for f in flags})),
        warnings=(*_shortfall(memory), *validate.warnings(profile, chosen)),
    )


def flag_differences(base: Profile, ways: Mapping[str, Profile]) -> str:
    """The flags that each way adds to the command of `base`, one way per line."""
    usual = {flag.words for flag in launch_plan(base).flags}
    lines = []
    for letter, way in ways.items():
        new = [" ".join(f.words) for f in launch_plan(way).flags if f.words not in usual]
        lines.append(f"{letter}: {'  '.join(new)}")
    return "\n".join(lines)


def _code(text: str) -> str:
    """Code in a cell of a Markdown table, whatever is in it."""
    ticks = "`" * (1 + max(map(len, re.findall("`+", text)), default=0))
    pad = " " if "`" in text else ""
    return f"{ticks}{pad}{text}{pad}{ticks}".replace("|", "\\|")


def _plain(text: str) -> str:
    """Text in a cell of a Markdown table: no link, picture, tag or formula."""
    return re.sub(r"[][<`|$\\]", lambda found: f"&#{ord(found[0])};", text)


def _what_would(memory: MemoryPlan) -> str:
    """The next thing to type where a profile does not start."""
    for remedy in explain(memory).remedies:
        if remedy.here:
            return f"{remedy.command} {'fits' if remedy.fits else 'starts'}, with {remedy.gives}"
    return f"kit size {shlex.quote(memory.profile.name)} shows the ledger and what would fit"


def _shortfall(memory: MemoryPlan) -> tuple[str, ...]:
    return () if memory.fits else explain(memory).shortfall
