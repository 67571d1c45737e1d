"""What `kit plan` would choose for three public deployments, beside what their owners run.

    python benchmarks/public_deployments.py > docs/public-deployments.md

A test of `make trust` compares the page with what this writes now.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kit.capacity import CapacityPlan, Option, Target, capacity_plan

DATA = Path(__file__).with_suffix(".toml")


@dataclass(frozen=True)
class Deployment:
    """One of the file, and what the kit makes of its load."""

    name: str
    theirs: str
    gpus: int
    source: str
    got: str
    tried_on: str
    model: str
    own_precision: str
    target: dict[str, Any]

    def plan(self) -> CapacityPlan:
        return capacity_plan(Target(**self.target), models=[self.model], gpus=[self.tried_on])


def deployments() -> list[Deployment]:
    return [Deployment(**row) for row in tomllib.loads(DATA.read_text())["deployment"]]


def own(plan: CapacityPlan, precision: str) -> Option | None:
    """The best at the precision that they run: of equals one that might do with a replica less."""
    holding = [o for o in plan.holding if o.profile.precision == precision]
    return min(holding, key=lambda o: (o.gpus, not o.one_fewer_is_marginal), default=None)


def _said(option: Option | None) -> str:
    if option is None:
        return "nothing holds it"
    out = option.point.outcome
    p90 = {m: b.p90 * (out.ms(m) or 0) for m, b in option.point.bands.items()}
    return (
        f"{option.replicas} × {option.candidate.title}: {option.gpus} "
        f"GPU{'s' * (option.gpus > 1)}, TTFT {out.ttft_ms:,.0f} ms and TPOT {out.tpot_ms:,.1f} ms "
        f"(pessimistic end {p90['ttft']:,.0f} and {p90['tpot']:,.1f}), "
        f"{option.output_per_s:,.0f} output tokens/s"
    )


def _otherwise(option: Option | None, gpus: int) -> str:
    if option is not None and option.gpus > gpus and option.one_fewer_is_marginal:
        return "One fewer is theirs, and marginal to us: expected to hold, not at the band's end."
    return "Another number of GPUs."


def page() -> str:
    lines = [
        "# Three public deployments, and what `kit plan` would choose",
        "",
        "<!-- written by `python benchmarks/public_deployments.py`; a test compares it -->",
        "",
        "Their hardware, load and figures: published, by the source named. Ours: simulated, on the "
        "same GPU, for the same load and a promise as good as what they got. They measured other "
        "engines, or older ones, and an average or a percentile of their own; so this compares the "
        "choice, and of the figures only the size.",
    ]
    for d in deployments():
        plan = d.plan()
        same, best = own(plan, d.own_precision), plan.best
        agree = same is not None and same.gpus == d.gpus
        lines += [
            "",
            f"## {d.name}",
            "",
            f"- load and promise: {plan.target}",
            f"- theirs: {d.theirs}. They got {d.got}. Source: <{d.source}>",
            f"- ours at their precision: {_said(same)}. "
            f"{'The same number of GPUs.' if agree else _otherwise(same, d.gpus)}",
        ]
        if same is None or best.candidate.title != same.candidate.title:
            lines.append(f"- ours, free to choose: {_said(best)}")
        lines.append(f"- runs out first: {plan.limit(same or best)}")
    lines += ["", f"*{plan.provenance}*", ""]
    return "\n".join(lines)


if __name__ == "__main__":
    print(page(), end="")
