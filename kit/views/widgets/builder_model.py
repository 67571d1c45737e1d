"""What can be chosen for a launch, and why the rest cannot: the model of the command builder.

    >>> resolve(Selection(gpu="h100", count=8)).selection.count
    16

A selection is always brought to something that runs: what an earlier choice rules out is replaced
by the nearest that works, and `changed` lists it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from kit.errors import KitError
from kit.hardware import SGLANG, Gpu, Profile, gpu, gpus
from kit.hardware.validate import transport_obstacle
from kit.launch import LaunchPlan
from kit.launch.flags import changes
from kit.launch.render import FORMS
from kit.launch.validate import THINKING_FLOOR
from kit.models import family, model
from kit.models.precision import precision, precisions
from kit.sizing import YARN_TOKENS
from kit.sizing.accounting import table
from kit.views.widgets.builder_selection import (
    COUNTS,
    Selection,
    launch_of,
    refusal,
    too_long,
    too_small,
)

NODES = (1, 2, 4)
_ABOUT = {
    "shell": "a command to paste",
    "docker": "docker run",
    "compose": "a compose file",
    "slurm": "a Slurm batch script",
    "k8s": "Kubernetes",
    "skypilot": "a SkyPilot task",
}


@dataclass(frozen=True)
class Option:
    """One value of a field. `reason` says why it cannot be chosen; empty where it can."""

    value: Any
    label: str
    reason: str = ""


@dataclass(frozen=True)
class Field:
    """One control: its choices, or for a switch the reason why it is locked."""

    name: str
    label: str
    value: Any
    choices: tuple[Option, ...] = ()
    locked: str = ""
    about: str = ""

    def choice(self, value: Any) -> Option | None:
        return next((c for c in self.choices if c.value == value), None)


@dataclass(frozen=True)
class Resolved:
    """A selection that runs, its plan, what can be chosen in each field, and what was replaced."""

    selection: Selection
    plan: LaunchPlan
    fields: tuple[Field, ...]
    changed: tuple[str, ...] = ()

    def field(self, name: str) -> Field:
        return next(field for field in self.fields if field.name == name)

    @property
    def command(self) -> str:
        """What is copied: for a shell what one pastes, on each machine; else the file."""
        if self.selection.form != "shell":
            return self.plan.form(self.selection.form)
        if self.plan.nodes == 1:
            return self.plan.shell()
        each = (f"# on machine {r + 1}\n{self.plan.shell(r)}" for r in range(self.plan.nodes))
        return "\n\n".join(each)


def resolve(selection: Selection, base: Profile | None = None) -> Resolved:
    """Bring a selection to what runs. `base` is the profile it began with, kept while it fits.

    Raises InvalidValue where nothing of the selection runs: a precision on no GPU at all.
    """
    changed: list[str] = []
    for name in ("precision", "gpu", "count", "nodes", "mtp", "cuda_ipc", "sglang", "form"):
        selection = _corrected(selection, _FIELDS[name](selection, base), changed)
    fields = tuple(make(selection, base) for make in _FIELDS.values())
    return Resolved(selection, launch_of(selection, base), fields, tuple(changed))


def versions() -> tuple[str, ...]:
    """SGLang's versions at which something of a command changed, the newest first."""
    counted = [row.since for row in table().version]
    known = {SGLANG, *counted, *(since for since, _ in changes(counted[0], SGLANG))}
    return tuple(sorted(known, key=lambda v: [int(n) for n in v.split(".")], reverse=True))


def _corrected(selection: Selection, field: Field, changed: list[str]) -> Selection:
    """The selection with this field's value replaced, where it cannot be."""
    if field.locked and field.value:
        changed.append(f"{field.label}: off, {field.locked}")
        return replace(selection, **{field.name: False})  # type: ignore[arg-type]  # a switch
    now = field.choice(field.value)
    if not field.choices or (now is not None and not now.reason):
        return selection
    possible = [c for c in field.choices if not c.reason]
    if not possible:
        return selection
    new = next((c for c in possible if _larger(c.value, field.value)), possible[0])
    was = now.label if now is not None else str(field.value)
    why = now.reason.removeprefix(f"{was} ") if now is not None else "is not offered here"
    changed.append(f"{field.label}: {new.label}, because {was} {why}")
    return replace(selection, **{field.name: new.value})


def _larger(new: Any, old: Any) -> bool:
    return isinstance(new, int) and isinstance(old, int) and new > old


def _models(selection: Selection, base: Profile | None) -> Field:
    choices = (Option(m.name, m.title) for m in family())
    return Field("model", "model", selection.model, tuple(choices))


def _precisions(selection: Selection, base: Profile | None) -> Field:
    spec, chosen = model(selection.model), gpu(selection.gpu)

    def reason(key: str) -> str:
        if selection.model not in precision(key).sizes:
            return "has no published checkpoint of this size"
        return refusal(spec, key, chosen)

    choices = (Option(r.key, r.title, reason(r.key)) for r in precisions().values())
    return Field("precision", "precision", selection.precision, tuple(choices))


def _gpus(selection: Selection, base: Profile | None) -> Field:
    spec = model(selection.model)

    def reason(one: Gpu) -> str:
        if why := refusal(spec, selection.precision, one):
            return why
        if any(
            not too_small(replace(selection, gpu=one.key, count=n))
            for n in (selection.count, *COUNTS)
        ):
            return ""
        return f"cannot hold it in {precision(selection.precision).title}, however many"

    choices = (Option(g.key, f"{g.name}, {g.memory_gib:.0f} GiB", reason(g)) for g in gpus())
    return Field("gpu", "GPU", selection.gpu, tuple(choices))


def _counts(selection: Selection, base: Profile | None) -> Field:
    spec = model(selection.model)
    possible = [n for n in COUNTS if n in spec.tp_sizes or gpu(selection.gpu).is_cpu]
    choices = (Option(n, str(n), too_small(replace(selection, count=n))) for n in possible)
    about = "as many ranks as divide the model's heads"
    return Field("count", "how many", selection.count, tuple(choices), about=about)


def _nodes(selection: Selection, base: Profile | None) -> Field:
    chosen = gpu(selection.gpu)

    def reason(nodes: int) -> str:
        if selection.count % nodes:
            return f"cannot share {selection.count} evenly"
        if selection.count // nodes > chosen.gpus_per_node:
            return f"holds {nodes * chosen.gpus_per_node} {chosen.name} at most"
        return ""

    choices = (Option(n, f"{n} machine{'s' if n > 1 else ''}", reason(n)) for n in NODES)
    return Field("nodes", "machines", selection.nodes, tuple(choices))


def _mtp(selection: Selection, base: Profile | None) -> Field:
    locked = ""
    if gpu(selection.gpu).is_cpu:
        locked = "the cookbook has none on a CPU"
    elif not selection.mtp and (small := too_small(replace(selection, mtp=True))):
        locked = f"with it {small}"
    about = "multi-token prediction: fewer steps an answer, for some memory"
    return Field("mtp", "MTP", selection.mtp, locked=locked, about=about)


def _switch(name: str, label: str, about: str) -> Callable[[Selection, Profile | None], Field]:
    return lambda selection, base: Field(name, label, getattr(selection, name), about=about)


def _cuda_ipc(selection: Selection, base: Profile | None) -> Field:
    locked = transport_obstacle("cuda_ipc", gpu(selection.gpu), selection.nodes) or ""
    about = "a better TTFT for images, for 1 GiB of the first GPU"
    return Field("cuda_ipc", "vision: features by CUDA IPC", selection.cuda_ipc, (), locked, about)


def _contexts(selection: Selection, base: Profile | None) -> Field:
    trained = model(selection.model).max_position_embeddings
    choices = [
        Option(0, f"{trained:,} (its own)"),
        Option(THINKING_FLOOR, f"{THINKING_FLOOR:,} (128K)"),
        Option(YARN_TOKENS, f"{YARN_TOKENS:,} (YaRN)"),
    ]
    if selection.context not in [c.value for c in choices]:
        choices.append(Option(selection.context, f"{selection.context:,}"))
    choices = [
        replace(c, reason=too_long(replace(selection, context=c.value), base)) for c in choices
    ]
    about = f"below {THINKING_FLOOR:,} thinking is cut short"
    return Field("context", "context, tokens", selection.context, tuple(choices), about=about)


def _versions(selection: Selection, base: Profile | None) -> Field:
    known = versions() if selection.sglang in versions() else (selection.sglang, *versions())
    choices = (Option(v, v, _error(launch_of, replace(selection, sglang=v), base)) for v in known)
    return Field("sglang", "SGLang", selection.sglang, tuple(choices))


def _forms(selection: Selection, base: Profile | None) -> Field:
    made = launch_of(selection, base)
    choices = (Option(form, _ABOUT[form], _error(made.form, form)) for form in FORMS)
    return Field("form", "form", selection.form, tuple(choices))


_FIELDS: dict[str, Callable[[Selection, Profile | None], Field]] = {
    "model": _models,
    "precision": _precisions,
    "gpu": _gpus,
    "count": _counts,
    "nodes": _nodes,
    "context": _contexts,
    "sglang": _versions,
    "form": _forms,
    "mtp": _mtp,
    "reasoning": _switch("reasoning", "reasoning parser", "thinking arrives apart, not inline"),
    "tools": _switch("tools", "tool-call parser", "tool calls arrive as JSON, not as text"),
    "cuda_ipc": _cuda_ipc,
    "large_media": _switch(
        "large_media", "vision: large images, videos", "a lower memory fraction leaves them room"
    ),
    "metrics": _switch("metrics", "metrics", "/metrics for Prometheus"),
}


def _error(make: Callable[..., object], *given: object) -> str:
    try:
        make(*given)
    except KitError as error:
        return error.what
    return ""
