"""What can be chosen for a launch, and why the rest cannot: the model of the command builder.

    >>> resolve(Selection(gpu="h100", count=8)).selection.count
    16

A selection is always brought to something that runs: what an earlier choice rules out is replaced
by the nearest that works, and `changed` lists it.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

from kit.errors import KitError
from kit.hardware import SGLANG, Gpu, Mtp, Profile, from_cell, gpu, gpus
from kit.hardware.cookbook import cells
from kit.hardware.validate import obstacle, transport_obstacle
from kit.launch import LaunchOptions, LaunchPlan, launch_plan
from kit.launch.flags import changes
from kit.launch.render import FORMS
from kit.launch.validate import THINKING_FLOOR
from kit.models import ModelSpec, family, model
from kit.models.precision import precision, precisions
from kit.sizing import YARN_TOKENS, plan
from kit.sizing.accounting import table
from kit.views.figures.ledger import verdict

COUNTS = (1, 2, 3, 4, 6, 8, 16)
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
class Selection:
    """What is to be started; the names are those of the kit's own tables."""

    model: str = "397b"
    precision: str = "bf16"
    gpu: str = "h200"
    count: int = 8
    mtp: bool = True
    nodes: int = 1
    reasoning: bool = True
    tools: bool = True
    cuda_ipc: bool = False
    large_media: bool = False
    context: int = 0
    metrics: bool = False
    sglang: str = SGLANG
    form: str = "shell"

    @classmethod
    def of(cls, p: Profile, sglang: str = SGLANG) -> Selection:
        """The selection that gives this profile."""
        return cls(
            model=p.model.name,
            precision=p.precision,
            gpu=p.gpu.key,
            count=p.tp_size,
            mtp=p.mtp is not None,
            nodes=p.nodes,
            cuda_ipc=p.mm_feature_transport == "cuda_ipc",
            context=p.context_length or 0,
            sglang=sglang,
        )

    @property
    def key(self) -> tuple[str, str, str, int, bool]:
        """What chooses a profile."""
        return self.model, self.precision, self.gpu, self.count, self.mtp


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


@lru_cache(maxsize=4096)
def refusal(spec: ModelSpec, precision_name: str, gpu: Gpu) -> str:
    """Why a precision does not run on a GPU at any number of them, memory aside."""
    reasons = []
    for count in COUNTS:
        with suppress(KitError):
            reasons.append(obstacle(Profile.of(spec, precision_name, gpu, count)))
    if not reasons:
        return "runs at no number of ranks"
    return "" if None in reasons else str(reasons[0])


def too_small(selection: Selection) -> str:
    """Why these GPUs do not hold the model; empty where they do."""
    *machine, mtp = selection.key
    return _shortage(*machine, mtp and not gpu(selection.gpu).is_cpu, selection.sglang)


@lru_cache(maxsize=4096)
def _shortage(spec: str, precision_name: str, gpu: str, count: int, mtp: bool, sglang: str) -> str:
    try:
        p = profile_of(Selection(spec, precision_name, gpu, count, mtp), None)
        made = plan(p, sglang)
    except KitError as error:
        return error.what
    return "" if made.fits else verdict(made)


@lru_cache(maxsize=1)
def _recipes() -> dict[tuple[str, str, str, int, bool], Profile]:
    """The cookbook's cells, under both strategies."""
    return {Selection.of(p).key: p for p in map(from_cell, cells())}


@lru_cache(maxsize=4096)
def too_long(selection: Selection, base: Profile | None) -> str:
    """Why its context is more than the KV cache holds; empty where it is not."""
    made = plan(profile_of(selection, base), selection.sglang)
    if made.fits or not selection.context:
        return ""
    return f"room for {made.kv_tokens:,} tokens only"


def profile_of(selection: Selection, base: Profile | None) -> Profile:
    """The profile of a selection: `base` or the cookbook's where it is the same, else a default."""
    key = selection.key
    p = _recipes().get(key)
    if base is not None and key == Selection.of(base).key:
        p = base
    if p is None:
        p = Profile.of(*key[:4], mtp=Mtp() if selection.mtp else None)
    wanted: dict[str, Any] = {
        "nodes": max(selection.nodes, -(-selection.count // p.gpu.gpus_per_node)),
        "context_length": selection.context or None,
        "mm_feature_transport": "cuda_ipc" if selection.cuda_ipc else None,
    }
    return replace(p, **{k: v for k, v in wanted.items() if getattr(p, k) != v})


def launch_of(selection: Selection, base: Profile | None) -> LaunchPlan:
    """The launch plan of a selection; its form is left out, which changes no flag."""
    return _launched(replace(selection, form=""), base)


@lru_cache(maxsize=512)
def _launched(selection: Selection, base: Profile | None) -> LaunchPlan:
    options = LaunchOptions(
        reasoning_parser="qwen3" if selection.reasoning else None,
        tool_call_parser="qwen3_coder" if selection.tools else None,
        large_media=selection.large_media,
        metrics=selection.metrics,
    )
    return launch_plan(profile_of(selection, base), selection.sglang, options)


def _error(make: Callable[..., object], *given: object) -> str:
    try:
        make(*given)
    except KitError as error:
        return error.what
    return ""
