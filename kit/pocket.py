"""The pocket model: its name, its model card, and the accept lengths of its MTP layer on SGLang.

    card()     its parameters, and the share of right answers by kind of question (kit/data/pocket)
    sweep()    accept length and speed with 0 to 3 draft tokens, measured on a CPU
    insist_on_released()    its files are those that were released

The figures are measured, and of this small model alone: none of them is Qwen3.5's.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal

from kit.errors import KitError, UnknownName
from kit.intervals import wilson
from kit.provenance import Provenance, measured
from kit.speed.speculation import accept_length

SERVED_NAME = "pocket-qwen3.5"
CLAIM = 0.9  # the card claims an ability from this share of right answers on

Part = Literal["thinking", "answer"]
PARTS: tuple[Part, ...] = ("thinking", "answer")

_DATA = Path(str(files("kit"))) / "data"
_AGAIN = "git checkout kit/data"
WEIGHTS = _DATA / "pocket"
SUMS = "SHA256SUMS"


@dataclass(frozen=True)
class WrongAnswer:
    """A question with a wrong answer: the right one, and the one that it gave."""

    question: str
    wanted: str
    said: str


@dataclass(frozen=True)
class Ability:
    """One row of the evaluation: `right` of `asked` questions of a kind, and some failures."""

    name: str
    asked: int
    right: int
    failures: tuple[WrongAnswer, ...] = ()

    @property
    def share(self) -> float:
        return self.right / self.asked

    @property
    def claimed(self) -> bool:
        """Whether the card claims it."""
        return self.share >= CLAIM

    @property
    def interval(self) -> tuple[float, float]:
        """Wilson's 95 % interval of the share."""
        return wilson(self.right, self.asked)


@dataclass(frozen=True)
class ModelCard:
    """The pocket model's size and abilities. Parameters are counts, without the vision tower."""

    name: str
    parameters: int
    mtp_parameters: int
    abilities: tuple[Ability, ...]
    provenance: Provenance


@dataclass(frozen=True)
class Speculated:
    """One run of the sweep: `steps` draft tokens per verify step, in one part of the replies.

    `accept_length` is tokens per verify step, None without drafts; `step_ms` is the time of a step,
    drafting included; `output_throughput` is tokens per second, one request at a time.
    """

    steps: int
    part: Part
    requests: int
    tokens: int
    verify_steps: int
    accept_length: float | None
    output_throughput: float
    step_ms: float


@dataclass(frozen=True)
class Sweep:
    """Runs with 0 to 3 draft tokens, thinking and answer apart.

    `shares` is the parts of a step's time by number of draft tokens: "draft", "verify" and
    "draft_extend", as SGLang's profiler names them.
    """

    rows: tuple[Speculated, ...]
    shares: Mapping[int, Mapping[str, float]]
    provenance: Provenance

    @property
    def steps(self) -> tuple[int, ...]:
        """The numbers of draft tokens that were run, without 0."""
        return tuple(sorted({row.steps for row in self.rows} - {0}))

    def row(self, part: Part, steps: int) -> Speculated:
        """Raises UnknownName for a run that there is not."""
        for row in self.rows:
            if (row.part, row.steps) == (part, steps):
                return row
        known = [f"{row.part} with {row.steps}" for row in self.rows]
        raise UnknownName("run of the sweep", f"{part} with {steps}", known)

    def length(self, part: Part, steps: int) -> float:
        """Tokens per step; 1 without drafts."""
        return self.row(part, steps).accept_length or 1.0

    def ratio(self, part: Part, steps: int) -> float:
        """The time of a step with drafts, in steps without."""
        return self.row(part, steps).step_ms / self.row(part, 0).step_ms

    def times_plain(self, part: Part, steps: int) -> float:
        """Throughput, relative to that without drafts: above 1 it was faster."""
        plain = self.row(part, 0).output_throughput
        return self.row(part, steps).output_throughput / plain

    def first_chance(self, part: Part) -> float:
        """How often the first draft is accepted: the accept length with one draft, less 1."""
        return self.length(part, 1) - 1

    def expected(self, part: Part, steps: int) -> float:
        """The accept length, if every draft were accepted as often as the first."""
        return accept_length([self.first_chance(part)] * steps)


@cache
def card(folder: Path = WEIGHTS) -> ModelCard:
    """Raises KitError where the pocket model's files are missing."""
    about, tried = _read(folder / "pocket.json"), _read(folder / "evaluation.json")
    rows = [
        Ability(
            row["name"],
            row["asked"],
            row["right"],
            tuple(WrongAnswer(f["question"], f["wanted"], f["said"]) for f in row["failures"]),
        )
        for row in tried["rows"]
    ]
    source = f"{about['name']}, greedy, on questions kept out of its training (its card)"
    return ModelCard(
        about["name"], about["parameters"], about["mtp_parameters"], tuple(rows), measured(source)
    )


@cache
def sweep(path: Path = _DATA / "recorded" / "pocket_acceptance.json") -> Sweep:
    """Raises KitError where the recording is missing."""
    data = _read(path)
    names = [field.name for field in fields(Speculated)]
    rows = [Speculated(**{name: row[name] for name in names}) for row in data["rows"]]
    shares = {int(steps): share for steps, share in data["shares"].items()}
    return Sweep(tuple(rows), shares, measured(data["provenance"]["source"]))


def insist_on_released(folder: Path = WEIGHTS) -> None:
    """Raises KitError where a file of the pocket model is missing or not the released one."""
    try:
        lines = (folder / SUMS).read_text(encoding="utf-8").splitlines()
        if not lines:
            raise ValueError(f"{SUMS} is empty")
        for line in lines:
            digest, name = line.split(maxsplit=1)
            if hashlib.sha256((folder / name).read_bytes()).hexdigest() != digest:
                raise KitError(f"{name} is not what was released: another checksum", _AGAIN)
    except (OSError, ValueError) as problem:
        raise KitError(f"the pocket model's weights cannot be read: {problem}", _AGAIN) from problem


def _read(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as problem:
        what = f"{path.name} of the pocket model cannot be read: {problem}"
        raise KitError(what, _AGAIN) from problem
