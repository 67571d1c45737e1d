"""Set-ups that people run outside data centres beside the kit's own plan of each.

    python -m kit.common_setups > docs/common-setups.md

A test compares the file with what this module writes now.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any

from kit import load_data
from kit.hardware import SGLANG, Mtp, Profile
from kit.models.precision import precision
from kit.sizing import MemoryPlan, plan
from kit.sizing.remedies import adapted, kit_command

HEAD = ("set-up", "its owner says", "as `kit size` plans it", "as the owner runs it", "command")


@dataclass(frozen=True)
class Setup:
    """One row; data/common_setups.toml explains the fields."""

    model: str
    precision: str
    gpu: str
    count: int
    owner: str
    source: str
    holds: dict[str, int]
    as_run: dict[str, Any] = field(default_factory=dict)
    sglang: str = SGLANG
    requests: int | None = None
    kv_tokens: int | None = None

    @property
    def default(self) -> Profile:
        """What `kit size` plans: 0.8 with MTP, or the least change of it that starts."""
        made = Profile.of(self.model, self.precision, self.gpu, self.count)
        return adapted(made, SGLANG)[0]

    @property
    def owners(self) -> MemoryPlan:
        """The plan with the owner's options, asked for what it holds."""
        options: dict[str, Any] = {**self.as_run}
        if "mtp" in options:
            options["mtp"] = Mtp() if options["mtp"] else None
        options |= {"users": self.holds["users"], "context_length": self.holds["context"]}
        made = Profile.of(self.model, self.precision, self.gpu, self.count)
        return plan(replace(made, **options), self.sglang)


@cache
def setups() -> tuple[Setup, ...]:
    """The ten, in the file's order."""
    data = load_data.toml("common_setups.toml")
    load_data.known_keys("common_setups.toml", data, ("setup",))
    return tuple(Setup(**row) for row in data["setup"])


def markdown() -> str:
    """The page: what it compares, and the table."""
    return (
        "\n".join(
            (
                "# Common set-ups outside data centres: their owners' words and our plans",
                "",
                "<!-- written by `python -m kit.common_setups`; a test compares it -->",
                "",
                "Ten set-ups of public reports of 2026, chosen by how often they come up. What "
                "owners say is published, by them; plans are computed, no GPU ran here. Other "
                "engines divide memory by other rules: their token counts are not ours to meet. "
                "Qwen3.5, 3.6 and 3.8 have one shape at each size.",
                "",
                "| " + " | ".join(HEAD) + " |",
                "|" + "---|" * len(HEAD),
                *_rows(),
            )
        )
        + "\n"
    )


def _rows() -> Iterator[str]:
    for one in setups():
        title = f"{one.model.upper()} {precision(one.precision).title} on {one.count} × "
        cells = (
            title + one.default.gpu.name,
            f"{one.owner} ({one.source})",
            _planned(plan(one.default)),
            _owners(one),
            f"`{kit_command(one.default)}`",
        )
        yield "| " + " | ".join(cells) + " |"


def _planned(made: MemoryPlan) -> str:
    p = made.profile
    options = f"fraction {p.mem_fraction_static:g}, {'MTP' if p.mtp else 'no MTP'}"
    most = made.max_running_requests
    requests = f"{most} request{'s' if most != 1 else ''}"
    return f"{made.verdict} at {options}: {requests}, {made.kv_tokens:,} tokens of KV cache"


def _owners(one: Setup) -> str:
    made = one.owners
    wanted = f"{made.asked_users} of {made.asked_tokens:,} tokens"
    holds = "holds" if made.fits else "does not hold"
    text = f"{holds} {wanted}: {made.max_running_requests} at once, {made.kv_tokens:,} tokens"
    if one.kv_tokens:
        text += f" ({made.kv_tokens / one.kv_tokens:.2f} of what the owner's server shows)"
    return text


if __name__ == "__main__":
    print(markdown(), end="")
