"""What can be chosen for a launch, and why the rest cannot: the command builder without its looks.

    >>> settled(Wish(gpu="h100", count=8)).wish.count
    16

A wish is always led to something that runs: what an earlier choice rules out is replaced by
the nearest that works, and `changed` says so.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
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
from kit.views.figures.plan_text import verdict

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
class Wish:
    """What somebody wants to start; the names are those of the kit's own tables."""

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
    def of(cls, p: Profile, sglang: str = SGLANG) -> Wish:
        """The wish that a profile is."""
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
class Settled:
    """A wish that runs, its plan, every field with what can be chosen, and what was replaced."""

    wish: Wish
    plan: LaunchPlan
    fields: tuple[Field, ...]
    changed: tuple[str, ...] = ()

    def field(self, name: str) -> Field:
        return next(field for field in self.fields if field.name == name)

    @property
    def command(self) -> str:
        """What is copied: for a shell what one pastes, on each machine; else the file."""
        if self.wish.form != "shell":
            return self.plan.form(self.wish.form)
        if self.plan.nodes == 1:
            return self.plan.shell()
        each = (f"# on machine {r + 1}\n{self.plan.shell(r)}" for r in range(self.plan.nodes))
        return "\n\n".join(each)


def settled(wish: Wish, base: Profile | None = None) -> Settled:
    """Lead a wish to what runs. `base` is the profile that it began with, kept where it still is.

    Raises InvalidValue where nothing of the wish runs: a precision on no GPU at all.
    """
    said: list[str] = []
    for name in ("precision", "gpu", "count", "nodes", "mtp", "cuda_ipc", "sglang", "form"):
        wish = _mended(wish, _FIELDS[name](wish, base), said)
    fields = tuple(make(wish, base) for make in _FIELDS.values())
    return Settled(wish, _launch(wish, base), fields, tuple(said))


def versions() -> tuple[str, ...]:
    """SGLang's versions at which something of a command changed, the newest first."""
    counted = [row.since for row in table().version]
    known = {SGLANG, *counted, *(since for since, _ in changes(counted[0], SGLANG))}
    return tuple(sorted(known, key=lambda v: [int(n) for n in v.split(".")], reverse=True))


def _mended(wish: Wish, field: Field, said: list[str]) -> Wish:
    """The wish with this field's value replaced, where it cannot be."""
    if field.locked and field.value:
        said.append(f"{field.label}: off, {field.locked}")
        return replace(wish, **{field.name: False})  # type: ignore[arg-type]  # a switch
    now = field.choice(field.value)
    if not field.choices or (now is not None and not now.reason):
        return wish
    possible = [c for c in field.choices if not c.reason]
    if not possible:
        return wish
    new = next((c for c in possible if _larger(c.value, field.value)), possible[0])
    was = now.label if now is not None else str(field.value)
    why = now.reason.removeprefix(f"{was} ") if now is not None else "is not offered here"
    said.append(f"{field.label}: {new.label}, because {was} {why}")
    return replace(wish, **{field.name: new.value})


def _larger(new: Any, old: Any) -> bool:
    return isinstance(new, int) and isinstance(old, int) and new > old


def _models(wish: Wish, base: Profile | None) -> Field:
    choices = (Option(m.name, m.repo.rsplit("/", 1)[-1]) for m in family())
    return Field("model", "model", wish.model, tuple(choices))


def _precisions(wish: Wish, base: Profile | None) -> Field:
    spec, card = model(wish.model), gpu(wish.gpu)

    def reason(key: str) -> str:
        if wish.model not in precision(key).sizes:
            return "has no published checkpoint of this size"
        return _refusal(spec, key, card)

    choices = (Option(r.key, r.title, reason(r.key)) for r in precisions().values())
    return Field("precision", "precision", wish.precision, tuple(choices))


def _gpus(wish: Wish, base: Profile | None) -> Field:
    spec = model(wish.model)

    def reason(card: Gpu) -> str:
        if refusal := _refusal(spec, wish.precision, card):
            return refusal
        if any(not _too_small(replace(wish, gpu=card.key, count=n)) for n in (wish.count, *COUNTS)):
            return ""
        return f"cannot hold it in {precision(wish.precision).title}, however many"

    choices = (Option(g.key, f"{g.name}, {g.memory_gib:.0f} GiB", reason(g)) for g in gpus())
    return Field("gpu", "GPU", wish.gpu, tuple(choices))


def _counts(wish: Wish, base: Profile | None) -> Field:
    spec = model(wish.model)
    possible = [n for n in COUNTS if n in spec.tp_sizes or gpu(wish.gpu).is_cpu]
    choices = (Option(n, str(n), _too_small(replace(wish, count=n))) for n in possible)
    about = "as many ranks as divide the model's heads"
    return Field("count", "how many", wish.count, tuple(choices), about=about)


def _nodes(wish: Wish, base: Profile | None) -> Field:
    card = gpu(wish.gpu)

    def reason(nodes: int) -> str:
        if wish.count % nodes:
            return f"cannot share {wish.count} evenly"
        if wish.count // nodes > card.gpus_per_node:
            return f"holds {nodes * card.gpus_per_node} {card.name} at most"
        return ""

    choices = (Option(n, f"{n} machine{'s' if n > 1 else ''}", reason(n)) for n in NODES)
    return Field("nodes", "machines", wish.nodes, tuple(choices))


def _mtp(wish: Wish, base: Profile | None) -> Field:
    locked = ""
    if gpu(wish.gpu).is_cpu:
        locked = "the cookbook has none on a CPU"
    elif not wish.mtp and (small := _too_small(replace(wish, mtp=True))):
        locked = f"with it {small}"
    about = "multi-token prediction: fewer steps an answer, for some memory"
    return Field("mtp", "MTP", wish.mtp, locked=locked, about=about)


def _switch(name: str, label: str, about: str) -> Callable[[Wish, Profile | None], Field]:
    return lambda wish, base: Field(name, label, getattr(wish, name), about=about)


def _cuda_ipc(wish: Wish, base: Profile | None) -> Field:
    locked = transport_obstacle("cuda_ipc", gpu(wish.gpu), wish.nodes) or ""
    about = "a better TTFT for images, for 1 GiB of the first card"
    return Field("cuda_ipc", "vision: features by CUDA IPC", wish.cuda_ipc, (), locked, about)


def _contexts(wish: Wish, base: Profile | None) -> Field:
    trained = model(wish.model).max_position_embeddings
    choices = [
        Option(0, f"{trained:,} (its own)"),
        Option(THINKING_FLOOR, f"{THINKING_FLOOR:,} (128K)"),
        Option(YARN_TOKENS, f"{YARN_TOKENS:,} (YaRN)"),
    ]
    if wish.context not in [c.value for c in choices]:
        choices.append(Option(wish.context, f"{wish.context:,}"))
    about = f"below {THINKING_FLOOR:,} thinking is cut short"
    return Field("context", "context, tokens", wish.context, tuple(choices), about=about)


def _versions(wish: Wish, base: Profile | None) -> Field:
    known = versions() if wish.sglang in versions() else (wish.sglang, *versions())
    choices = (Option(v, v, _error(_launch, replace(wish, sglang=v), base)) for v in known)
    return Field("sglang", "SGLang", wish.sglang, tuple(choices))


def _forms(wish: Wish, base: Profile | None) -> Field:
    made = _launch(wish, base)
    choices = (Option(form, _ABOUT[form], _error(made.form, form)) for form in FORMS)
    return Field("form", "form", wish.form, tuple(choices))


_FIELDS: dict[str, Callable[[Wish, Profile | None], Field]] = {
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


@lru_cache(maxsize=4096)
def _refusal(spec: ModelSpec, precision_name: str, card: Gpu) -> str:
    """Why a precision does not run on a card at any number of them, memory aside."""
    reasons = [obstacle(p) for p in _tried(spec, precision_name, card)]
    if not reasons:
        return "runs at no number of ranks"
    return "" if None in reasons else str(reasons[0])


def _tried(spec: ModelSpec, precision_name: str, card: Gpu) -> Iterator[Profile]:
    for count in COUNTS:
        try:
            yield Profile.of(spec, precision_name, card, count)
        except KitError:
            continue


@lru_cache(maxsize=4096)
def _small(spec: str, precision_name: str, card: str, count: int, mtp: bool, sglang: str) -> str:
    try:
        p = _profile(Wish(spec, precision_name, card, count, mtp), None)
        made = plan(p, sglang)
    except KitError as error:
        return error.what
    return "" if made.fits else verdict(made)


def _too_small(wish: Wish) -> str:
    """Why these GPUs do not hold the model; empty where they do."""
    mtp = wish.mtp and not gpu(wish.gpu).is_cpu
    return _small(wish.model, wish.precision, wish.gpu, wish.count, mtp, wish.sglang)


@lru_cache(maxsize=1)
def _recipes() -> dict[tuple[str, str, str, int, bool], Profile]:
    """The cookbook's cells, under both strategies."""
    made: Iterable[Profile] = map(from_cell, cells())
    return {(p.model.name, p.precision, p.gpu.key, p.tp_size, p.mtp is not None): p for p in made}


def _profile(wish: Wish, base: Profile | None) -> Profile:
    """The profile of a wish: `base` or the cookbook's where it is theirs, else a default."""
    key = (wish.model, wish.precision, wish.gpu, wish.count, wish.mtp)
    p = _recipes().get(key)
    if base is not None and key == _key(base):
        p = base
    if p is None:
        p = Profile.of(*key[:4], mtp=Mtp() if wish.mtp else None)
    wanted: dict[str, Any] = {
        "nodes": max(wish.nodes, -(-wish.count // p.gpu.gpus_per_node)),
        "context_length": wish.context or None,
        "mm_feature_transport": "cuda_ipc" if wish.cuda_ipc else None,
    }
    return replace(p, **{k: v for k, v in wanted.items() if getattr(p, k) != v})


def _key(p: Profile) -> tuple[str, str, str, int, bool]:
    return (p.model.name, p.precision, p.gpu.key, p.tp_size, p.mtp is not None)


def _launch(wish: Wish, base: Profile | None) -> LaunchPlan:
    return _launched(replace(wish, form=""), base)


@lru_cache(maxsize=512)
def _launched(wish: Wish, base: Profile | None) -> LaunchPlan:
    options = LaunchOptions(
        reasoning_parser="qwen3" if wish.reasoning else None,
        tool_call_parser="qwen3_coder" if wish.tools else None,
        large_media=wish.large_media,
        metrics=wish.metrics,
    )
    return launch_plan(_profile(wish, base), wish.sglang, options)
