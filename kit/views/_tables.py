"""Tables of the lessons on sizing: the family, and what was published about it.

family()
claims("01")
"""

from __future__ import annotations

from kit._precision import precisions
from kit.errors import UnknownName
from kit.hardware import read
from kit.models import ModelSpec
from kit.models import family as every_size
from kit.provenance import computed, published
from kit.views.told import Words

MIB = 2**20


def family() -> Words:
    """The eight sizes of Qwen3.5: parameters, layers, bytes."""
    head = (
        "size",
        "parameters (B)",
        "a token uses (B)",
        "experts",
        "layers: full attention + GDN",
        "weights, BF16 (GB)",
        "KV (bytes a token)",
        "GDN state (MiB a request)",
        "checkpoints",
    )
    sizes = every_size()
    return Words(
        f"Qwen3.5 comes in {len(sizes)} sizes, and all of them are hybrids with a vision tower.",
        head,
        tuple(_row(spec) for spec in sizes),
        computed("each size's config.json; checkpoints as published by Qwen, NVIDIA and AMD"),
        folded=False,
    )


def _row(spec: ModelSpec) -> tuple[str, ...]:
    p = spec.parameters()
    some = f"{spec.num_experts_per_tok} + 1 of {spec.num_experts}"
    return (
        spec.repo.split("/")[-1].removeprefix("Qwen3.5-"),
        f"{p.text / 1e9:.2f}",
        f"{p.active / 1e9:.2f}",
        some if spec.num_experts else "none",
        f"{spec.full_layers} + {spec.gdn_layers}",
        f"{spec.weights_bytes() / 1e9:,.1f}",
        f"{spec.kv_bytes_per_token(mtp=False):,}",
        f"{spec.state_bytes_per_request() / MIB:.1f}",
        ", ".join(recipe.title for recipe in precisions().values() if spec.name in recipe.sizes),
    )


def claims(lesson: str) -> Words:
    """What the course's two sources claim, and where it is tested. Raises UnknownName."""
    data = read("claims.toml")
    told = [claim for claim in data["claim"] if claim["lesson"] == lesson]
    if not told:
        raise UnknownName("lesson with claims", lesson, {c["lesson"] for c in data["claim"]})
    rows = tuple(
        (
            claim["text"],
            " and ".join(by.capitalize() for by in claim["by"]),
            claim["tested"] or "not here: the publisher's word",
        )
        for claim in told
    )
    tested = sum(bool(claim["tested"]) for claim in told)
    return Words(
        f"Of {len(told)} published claims this course puts {tested} to the test.",
        ("claim", "published by", "tested"),
        rows,
        published("; ".join(data["sources"].values())),
        folded=False,
    )
