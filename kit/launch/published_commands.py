"""The two source pages' launch commands: as published, as plans, and beside today's plan."""

from __future__ import annotations

import shlex
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

from kit import load_data
from kit.hardware import SGLANG, Profile, profile
from kit.launch.flags import spellings
from kit.launch.plan import LaunchPlan, launch_plan
from kit.provenance import Provenance, published


@dataclass(frozen=True)
class Difference:
    """One difference between a page's command and today's plan."""

    theirs: str
    ours: str
    why: str


@dataclass(frozen=True)
class SourceCommand:
    """A published launch command; data/source_commands.toml explains the fields."""

    name: str
    title: str
    url: str
    sglang: str
    profile: Profile
    options: dict[str, Any]
    order: tuple[str, ...]
    short: bool
    head: str
    extra: dict[str, list[str]]
    text: str

    @property
    def provenance(self) -> Provenance:
        return published(f"{self.title}, {self.url}")

    @property
    def without_effect(self) -> tuple[str, ...]:
        """Flags of the command that change nothing."""
        absent = {one.flag for one in self.today(self.sglang).left_out}
        given = [spellings()[key].named(self.sglang) for key in self.order]
        return tuple(name for name in given if name in absent)

    def arguments(self) -> list[str]:
        """The server's arguments, as the page spells them."""
        words = shlex.split(self.text.replace("\\\n", " "))
        return words[words.index("sglang.launch_server") + 1 :]

    def arguments_in_full(self) -> list[str]:
        """The same, every flag under its full name."""
        full = {s.page: s.named(self.sglang) for s in spellings().values() if s.page}
        return [full.get(word, word) for word in self.arguments()]

    def written_from(self, plan: LaunchPlan) -> str:
        """A plan in the page's own order and spelling; for its version, the page's very text."""
        values = {flag.key: flag.value for flag in plan.flags}
        values |= {key: value for key, (value, _) in self.extra.items()}
        lines = [self.head.strip()]
        for key in self.order:
            known = spellings()[key]
            name = known.page if self.short and known.page else known.named(self.sglang)
            lines.append(f"{name} {values[key]}" if values[key] is not None else name)
        return " \\\n".join(lines)

    def today(self, sglang: str = SGLANG) -> LaunchPlan:
        """The same server on another version: what one would type now."""
        safe = {k: v for k, v in self.options.items() if k not in ("host", "api_key")}
        safe["trust_remote_code"] = False
        return launch_plan(self.profile, sglang, **safe)

    def differences(self, sglang: str = SGLANG) -> tuple[Difference, ...]:
        """What changes between the page's command and the plan of `today`, and why."""
        plan = self.today(sglang)
        ours = {flag.name: flag for flag in plan.flags}
        absent = {one.flag: one.reason for one in plan.left_out}
        useless = {spellings()[key].named(self.sglang): why for key, (_, why) in self.extra.items()}
        found = []
        full, spelt = self.arguments_in_full(), self.arguments()
        for at, name in enumerate(full):
            if not name.startswith("--"):
                continue
            value = full[at + 1] if at + 1 < len(full) else ""
            value = "" if value.startswith("--") else value
            theirs = f"{spelt[at]} {value}".strip()
            flag = ours.pop(name, None)
            if flag is None:
                why = useless.get(name) or absent.get(name, "not needed any more")
                found.append(Difference(theirs, "", why))
            elif " ".join(flag.words) != theirs:
                why = flag.reason if flag.value != value else _in_full(flag.key)
                found.append(Difference(theirs, " ".join(flag.words), why))
        found += [Difference("", " ".join(flag.words), flag.reason) for flag in ours.values()]
        if "SGLANG_USE_CUDA_IPC_TRANSPORT" in self.text:
            ipc = [d for d in found if d.ours.startswith("--mm-feature-transport")]
            found = [d for d in found if d not in ipc]
            why = "the variable is deprecated; the flag does the same"
            found += [Difference("SGLANG_USE_CUDA_IPC_TRANSPORT=1", d.ours, why) for d in ipc]
        return tuple(found)


def _in_full(key: str) -> str:
    """Why a page's spelling is written out."""
    if spellings()[key].alias:
        return "SGLang's own name; the page's is its alias, and means the same"
    return "the full name: the short one is an abbreviation, taken only while no other flag fits it"


@cache
def source_commands() -> tuple[SourceCommand, ...]:
    """The cookbook's command and Lambda's."""
    return tuple(
        _command(name, row) for name, row in load_data.toml("source_commands.toml").items()
    )


def _command(name: str, row: dict[str, Any]) -> SourceCommand:
    served = replace(profile(row["profile"]), **row["profile_options"])
    given = {key: value for key, value in row.items() if key != "profile_options"}
    given |= {"profile": served, "order": tuple(row["order"]), "text": row["text"].strip()}
    return SourceCommand(name=name, **given)
