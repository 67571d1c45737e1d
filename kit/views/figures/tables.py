"""Tables of the lessons: the family, what was published, what a GPU can serve, the tips,
what pictures cost.

family()
claims("01")
on_card("rtx4090")
image_costs()
"""

from __future__ import annotations

from typing import Any

from kit import load_data
from kit.errors import InvalidValue, UnknownName
from kit.hardware import SGLANG, Profile, gpu
from kit.hardware.validate import obstacle
from kit.launch import source_commands
from kit.models import ModelSpec, model
from kit.models import family as every_size
from kit.models.image_tokens import DELIMITERS, image_tokens, smart_resize, video_cost
from kit.models.precision import precision, precisions
from kit.provenance import computed, published
from kit.sizing import FITS_TOKENS, MemoryPlan, explain, plan
from kit.sizing.remedies import adapted
from kit.views.figure import FigureTable
from kit.vision.image_part import COUNTED, by

MIB = 2**20
PICTURE_SIZES = {  # what it is → width and height in pixels
    "photo of a phone, 12 megapixels": (4032, 3024),
    "4K screen": (3840, 2160),
    "1080p": (1920, 1080),
    "720p": (1280, 720),
    "360p": (640, 360),
    "icon": (64, 64),
}
MINUTE_OF_VIDEO = (60 * 30, 30, 1280, 720)  # frames, frames per second, pixels


def family() -> FigureTable:
    """The eight sizes of Qwen3.5: parameters, layers, bytes."""
    rows = [_row(spec) for spec in every_size()]
    return FigureTable(
        f"Qwen3.5 comes in {len(rows)} sizes, and all of them are hybrids with a vision tower.",
        tuple(rows[0]),
        tuple(tuple(row.values()) for row in rows),
        computed("each size's config.json; checkpoints as published by Qwen, NVIDIA and AMD"),
        folded=False,
    )


def _row(spec: ModelSpec) -> dict[str, str]:
    """A size's figures, each under its column's head."""
    p = spec.parameters()
    some = f"{spec.num_experts_per_tok} + 1 of {spec.num_experts}"
    checkpoints = [recipe.title for recipe in precisions().values() if spec.name in recipe.sizes]
    return {
        "size": _size(spec),
        "parameters (B)": f"{p.text / 1e9:.2f}",
        "used per token (B)": f"{p.active / 1e9:.2f}",
        "experts": some if spec.num_experts else "none",
        "layers: full attention + GDN": f"{spec.full_layers} + {spec.gdn_layers}",
        "weights, BF16 (GB)": f"{spec.weights_bytes() / 1e9:,.1f}",
        "KV (bytes per token)": f"{spec.kv_bytes_per_token(mtp=False):,}",
        "GDN state (MiB per request)": f"{spec.state_bytes_per_request() / MIB:.1f}",
        "checkpoints": ", ".join(checkpoints),
    }


def _size(spec: ModelSpec) -> str:
    return spec.title.removeprefix("Qwen3.5-")


def on_card(gpu_name: str, count: int = 1, sglang: str = SGLANG) -> FigureTable:
    """What `count` of a GPU can serve: of each size the least compressed checkpoint that fits.

    Where none does, the row says what is in the way. Raises UnknownName.
    """
    kind = gpu(gpu_name)
    found = {spec: _best(spec, kind.key, count, sglang) for spec in every_size()}
    outcome = "none of the family fits"
    if largest := next((held for held in found.values() if held and held.fits), None):
        outcome = (
            f"the largest that fits is {largest.profile.checkpoint}, "
            f"{largest.max_running_requests} requests at once and {largest.kv_tokens:,} tokens "
            "of KV cache"
        )
    return FigureTable(
        f"{count}× {kind.name} of {kind.memory_gib:.0f} GiB: {outcome}. "
        f"Short: it starts, without room for {FITS_TOKENS:,} tokens.",
        ("size", "precision", "verdict", "requests at once", "KV tokens", "or else"),
        tuple(_fitting(spec, held) for spec, held in found.items()),
        computed(f"formulas of SGLang {sglang}"),
        folded=False,
    )


def _best(spec: ModelSpec, gpu_key: str, count: int, sglang: str) -> MemoryPlan | None:
    """The first precision that fits, full precision first; else the last that would run."""
    last = None
    for recipe in precisions().values():
        if spec.name not in recipe.sizes:
            continue
        try:
            profile = Profile.of(spec, recipe.key, gpu_key, count)
        except InvalidValue:
            continue
        if obstacle(profile):
            continue
        last = plan(profile, sglang)
        if last.fits:
            return last
    return last


def _fitting(spec: ModelSpec, held: MemoryPlan | None) -> tuple[str, ...]:
    size = _size(spec)
    if held is None:
        return (size, "–", "no", "–", "–", "no checkpoint of it runs here")
    remedy = ""
    if not held.fits:
        remedies = explain(held).remedies
        remedy = remedies[0].action if remedies else "a smaller size"
    if not held.starts:  # as `kit size` does: a larger fraction, and no MTP
        own, _ = adapted(held.profile, held.sglang)
        then = plan(own, held.sglang)
        if then.starts and not then.fits:
            with_mtp = "" if own.mtp else ", no MTP"
            remedy = f"{remedy} (these figures: fraction {own.mem_fraction_static:g}{with_mtp})"
            held = then
    figures = ("–", "–")
    if held.starts:
        figures = (f"{held.max_running_requests:,}", f"{held.kv_tokens:,}")
    return (size, precision(held.profile.precision).title, held.verdict, *figures, remedy)


def claims(lesson: str) -> FigureTable:
    """What the course's two sources claim, and where it is tested. Raises UnknownName."""
    data = load_data.toml("claims.toml")
    found = [claim for claim in data["claim"] if claim["lesson"] == lesson]
    if not found:
        raise UnknownName("lesson with claims", lesson, {c["lesson"] for c in data["claim"]})
    tested = sum(bool(claim["tested"]) for claim in found)
    return FigureTable(
        f"Of {len(found)} published claims this course puts {tested} to the test.",
        ("claim", "published by", "tested"),
        tuple(
            (
                claim["text"],
                " and ".join(by.capitalize() for by in claim["by"]),
                claim["tested"] or "not here: the publisher's word",
            )
            for claim in found
        ),
        published("; ".join(data["sources"].values())),
        folded=False,
    )


def image_costs() -> FigureTable:
    """Tokens of pictures by size, and of a minute of video; as shares of the context."""
    context = model("397b").max_position_embeddings
    rows = []
    for name, (width, height) in PICTURE_SIZES.items():
        tall, wide = smart_resize(height, width)
        tokens = image_tokens(width, height) + DELIMITERS
        rows.append((name, by((width, height)), by((wide, tall)), f"{tokens:,}"))
    film = video_cost(*MINUTE_OF_VIDEO)
    size = by(MINUTE_OF_VIDEO[2:])
    seen = f"{len(film.frames)} frames of {by((film.width, film.height))}"
    rows.append(("a minute of 720p video", size, seen, f"{film.tokens:,}"))
    shares = (f"{100 * int(row[-1].replace(',', '')) / context:.2f}" for row in rows)
    return FigureTable(
        f"One token is 32 × 32 pixels; {DELIMITERS} more stand around each picture.",
        ("picture", "pixels", "the model sees", "tokens", f"% of {context:,} tokens"),
        tuple((*row, share) for row, share in zip(rows, shares, strict=True)),
        COUNTED,
        folded=False,
    )


def tips(about: str | None = None) -> FigureTable:
    """The tips of the cookbook's page of February 2026, and what each is on SGLang 0.5.23.

    With `about` those on one subject (vision) alone. Raises UnknownName.
    """
    every: list[dict[str, Any]] = load_data.toml("tips.toml")["tip"]
    rows = [row for row in every if about in (None, row.get("about"))]
    if not rows:
        raise UnknownName(
            "subject of tips", str(about), {r["about"] for r in every if "about" in r}
        )
    page = next(one for one in source_commands() if one.name == "cookbook")
    return FigureTable(
        f"{len(rows)} tips of the page, and what each is worth on SGLang {SGLANG}.",
        ("the page says", "with", f"on {SGLANG}", "read in"),
        tuple((r["tip"], r["flag"] or "–", r["now"], r["source"]) for r in rows),
        published(f"the tips: SGLang cookbook, Qwen3.5, February 2026, {page.url}"),
        folded=False,
    )
