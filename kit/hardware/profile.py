"""GPUs, and profiles: a model, at a precision, on so many GPUs, with serving options.

    >>> profile("h200x8").tp_size
    8
    >>> Profile.of("27b", "fp8", "rtx5090", 2).checkpoint
    'Qwen/Qwen3.5-27B-FP8'

The named profiles are those of the cookbook's deployment matrix, and Lambda's.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from functools import cache
from typing import Any

from kit import load_data
from kit.errors import UnknownName
from kit.hardware import validate
from kit.hardware.cookbook import MatrixCell, cells, title, untitled
from kit.hardware.gpu import Gpu
from kit.hardware.gpu_names import gpu
from kit.models import ModelSpec, model
from kit.models.precision import precision as precision_named
from kit.provenance import Provenance, computed, published

SGLANG = "0.5.23"  # the SGLang version whose behaviour is the default everywhere
OWN = "a reader's own choice of options"
COOKBOOK_FRACTION = 0.8  # --mem-fraction-static where a reader says nothing


@dataclass(frozen=True)
class Mtp:
    """Multi-token prediction: a chain of `num_steps` drafts, verified with the last token."""

    num_steps: int = 3
    eagle_topk: int = 1
    num_draft_tokens: int = 4

    def __post_init__(self) -> None:
        validate.mtp(self.num_steps, self.eagle_topk, self.num_draft_tokens)


@dataclass(frozen=True)
class Profile:
    """What is served, on what, and how. `dataclasses.replace` makes variants.

    `tp_size` counts the ranks over all nodes, one per GPU. `users` requests at once of
    `context_length` tokens are what a plan must hold. `None` leaves an option to SGLang.
    Raises InvalidValue for what no server would take: ranks that do not divide the heads,
    more GPUs than a node holds, a negative context.
    """

    name: str
    model: ModelSpec
    precision: str
    gpu: Gpu
    tp_size: int
    nodes: int = 1
    ep_size: int = 1
    mtp: Mtp | None = Mtp()
    mem_fraction_static: float | None = None
    context_length: int | None = None
    users: int | None = None
    max_running_requests: int | None = None
    ssm_dtype: str = "float32"
    radix_cache: bool = True
    kv_dtype: str = "bf16"
    mamba_radix_cache_strategy: str = "auto"
    overlap: bool = True
    chunked_prefill_size: int | None = None
    mm_feature_transport: str | None = None
    symm_mem: bool = False
    source: str = OWN

    def __post_init__(self) -> None:
        validate.profile(self)

    @classmethod
    def of(
        cls,
        model_name: str | ModelSpec,
        precision: str,
        gpu_name: str | Gpu,
        count: int,
        **options: Any,
    ) -> Profile:
        """The profile of `count` GPUs: the cookbook's where it has that cell, else a default.

        Defaults: MTP on where the model has it, the cookbook's memory fraction 0.8, nodes as
        many as the GPUs need. `options` are fields of `Profile`, and win.
        """
        spec = model(model_name) if isinstance(model_name, str) else model_name
        found = gpu(gpu_name) if isinstance(gpu_name, str) else gpu_name
        recipe = precision_named(precision)
        validate.count(count)
        name = title(spec.name, recipe.key, found.key, count)
        cell = next(
            (c for c in cookbook() if (c.title, c.model, c.gpu) == (name, spec, found)), None
        )
        if cell is not None:
            source = f"{cell.source}; options changed" if options else cell.source
            return replace(cell, **{"source": source, **options})
        return cls(
            **{
                "name": name,
                "model": spec,
                "precision": recipe.key,
                "gpu": found,
                "tp_size": count,
                "nodes": -(-count // found.gpus_per_node),
                "mtp": Mtp() if spec.mtp_num_hidden_layers and not found.is_cpu else None,
                "mem_fraction_static": COOKBOOK_FRACTION,
                "kv_dtype": recipe.kv_dtype,
                "overlap": not found.is_cpu,
                **options,
            }
        )

    @property
    def title(self) -> str:
        """The long form of the name: "397b-bf16-h200x8"."""
        return title(self.model.name, self.precision, self.gpu.key, self.tp_size)

    @property
    def checkpoint(self) -> str:
        """The checkpoint to load: "Qwen/Qwen3.5-397B-A17B-FP8"."""
        repo = self.model.repo
        template = self.model.storage(self.precision).checkpoint
        return template.format(repo=repo, name=repo.rsplit("/", 1)[-1])

    @property
    def context_tokens(self) -> int:
        """The longest request that is admitted, where memory allows it."""
        return self.context_length or self.model.max_position_embeddings

    def __str__(self) -> str:
        recipe = self.model.storage(self.precision)
        nodes = f" on {self.nodes} nodes" if self.nodes > 1 else ""
        parts = [
            self.model.title,
            recipe.title,
            f"{self.tp_size}× {self.gpu.name}{nodes}",
            "MTP" if self.mtp else "no MTP",
        ]
        if self.mem_fraction_static is not None:
            parts.append(f"fraction {self.mem_fraction_static:g}")
        return " · ".join(parts)

    def to_json(self) -> dict[str, Any]:
        """The profile as `kit profiles --json` prints it; `provenance` names its source."""
        return {
            "name": self.name,
            "model": self.model.name,
            "checkpoint": self.checkpoint,
            "precision": self.precision,
            "gpu": self.gpu.key,
            "tp_size": self.tp_size,
            "nodes": self.nodes,
            "ep_size": self.ep_size,
            "mtp": asdict(self.mtp) if self.mtp else None,
            "mem_fraction_static": self.mem_fraction_static,
            "context_length": self.context_length,
            "max_running_requests": self.max_running_requests,
            "ssm_dtype": self.ssm_dtype,
            "kv_dtype": self.kv_dtype,
            "radix_cache": self.radix_cache,
            "provenance": self.provenance.to_json(),
        }

    @property
    def provenance(self) -> Provenance:
        """Whose choice these options are."""
        return computed(self.source) if self.source == OWN else published(self.source)


@cache
def cookbook() -> tuple[Profile, ...]:
    """A profile for each cell of the cookbook's deployment matrix, with MTP where it offers it."""
    return tuple(from_cell(cell) for cell in cells() if cell.default)


def from_cell(cell: MatrixCell) -> Profile:
    """The profile of a cell of the matrix, under the cell's strategy."""
    return _profile(dict(cell.fields))


@cache
def profiles() -> tuple[Profile, ...]:
    """The named profiles: those of the sources' commands first, then the cookbook's matrix."""
    own = [_profile({"name": name, **row}) for name, row in load_data.toml("profiles.toml").items()]
    short = sorted((p for p in cookbook() if p.name != p.title), key=lambda p: p.nodes)
    return (*short, *own, *(p for p in cookbook() if p.name == p.title))


def _profile(row: dict[str, Any]) -> Profile:
    return Profile(
        **{
            **row,
            "model": model(row["model"]),
            "gpu": gpu(row["gpu"]),
            "mtp": Mtp() if row["mtp"] else None,
        }
    )


def profile(name: str) -> Profile:
    """The profile called `name`: "h200x8", "27b-fp8-h100x1", "4b-bf16-rtx4090x1".

    A long name of no listed profile is `Profile.of` its parts. Raises UnknownName.
    """
    key = name.lower()
    found = {p.name: p for p in profiles()}
    titles = {p.title: p for p in reversed(profiles())}
    if key in found:
        return found[key]
    if key in titles:
        return titles[key]
    if parts := untitled(key):
        return Profile.of(*parts)
    raise UnknownName("profile", name, found, "(`kit profiles` lists them)")
