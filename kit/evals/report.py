"""The result of an evaluation: answers, the score with its interval, and two runs compared."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from kit import load_data
from kit.errors import KitError, UnknownName
from kit.evals.lines import json_lines
from kit.intervals import needed_paired, paired_p, wilson
from kit.provenance import Kind, Provenance, measured

_FORMAT = "give a file that kit eval --out wrote"
_SAME = ("eval", "problems", "model", "settings", "shots")


@dataclass(frozen=True)
class Answered:
    """One answer. `predicted` is what was read out of `text`, None where nothing could be;
    `tokens` the answer's; `asked_s`, `ended_s` seconds since its session began: a run that was
    interrupted has several sessions."""

    id: str
    group: str
    text: str
    predicted: str | None
    answer: str
    right: bool
    tokens: int | None
    finish: str | None
    asked_s: float
    ended_s: float
    session: int = 0


@dataclass(frozen=True)
class Score:
    """`right` of `asked`; `invalid` had no answer in their text."""

    name: str
    asked: int
    right: int
    invalid: int

    @property
    def share(self) -> float:
        return self.right / self.asked

    @property
    def interval(self) -> tuple[float, float]:
        """Wilson's 95 % interval."""
        return wilson(self.right, self.asked)

    def __str__(self) -> str:
        low, high = self.interval
        return f"{self.share:.3f} ({low:.3f} to {high:.3f}) · {self.right} of {self.asked}"


@dataclass(frozen=True)
class EvalReport:
    """What was asked (`head`, the first line of the file) and every answer."""

    head: Mapping[str, Any]
    answers: tuple[Answered, ...]

    @property
    def score(self) -> Score:
        """Over all. Raises KitError where nothing was answered."""
        if not self.answers:
            raise KitError(f"{self.head['eval']}: no answer yet, so no score", "run it again")
        return _score("overall", self.answers)

    @property
    def groups(self) -> tuple[Score, ...]:
        """By group, in alphabetical order."""
        names = sorted({one.group for one in self.answers if one.group})
        return tuple(_score(n, [a for a in self.answers if a.group == n]) for n in names)

    @property
    def latency_s(self) -> float:
        """Wall-clock seconds, the sessions added up."""
        sessions = {one.session for one in self.answers}
        return sum(max(a.ended_s for a in self.answers if a.session == one) for one in sessions)

    @property
    def output_throughput(self) -> float | None:
        """Output tokens per second; None where a server did not count them."""
        counts = [one.tokens for one in self.answers if one.tokens is not None]
        if len(counts) < len(self.answers) or not self.latency_s:
            return None
        return sum(counts) / self.latency_s

    @property
    def truncated(self) -> int:
        """Answers that ran into the limit of tokens."""
        return sum(one.finish == "length" for one in self.answers)

    @property
    def provenance(self) -> Provenance:
        """Who answered."""
        told = self.head["provenance"]
        return Provenance(Kind(told["kind"]), told["source"])

    def insist_on(self, head: Mapping[str, Any], path: Path | None) -> None:
        """Raises KitError where this file has other questions, another model or settings."""
        other = [key for key in _SAME if self.head.get(key) != head[key]]
        if other:
            raise KitError(
                f"{path} holds another run: its {', '.join(other)} differ",
                "name another --out, or add --fresh to begin anew",
            )

    def to_json(self) -> dict[str, Any]:
        score = self.score
        return {
            **{key: self.head[key] for key in ("eval", "model", "settings", "shots", "notes")},
            "asked": self.head["asked"],
            "answered": score.asked,
            "right": score.right,
            "invalid": score.invalid,
            "accuracy": score.share,
            "interval": list(score.interval),
            "truncated": self.truncated,
            "latency_s": self.latency_s,
            "output_throughput": self.output_throughput,
            "groups": {
                one.name: {
                    "asked": one.asked, "right": one.right, "invalid": one.invalid,
                    "accuracy": one.share, "interval": list(one.interval),
                }
                for one in self.groups
            },
            "provenance": self.head["provenance"],
        }  # fmt: skip

    def __str__(self) -> str:
        score, head = self.score, self.head
        low, high = score.interval
        rate = self.output_throughput
        shown = "not counted by the server" if rate is None else f"{rate:.3f} token/s"
        lines = [
            f"{head['eval']} · {head['model']} · {head['shots']} shots",
            f"Accuracy: {score.share:.3f}   95 % interval {low:.3f} to {high:.3f}, n {score.asked}",
            f"Invalid: {score.invalid / score.asked:.3f}   truncated {self.truncated}",
            f"Latency: {self.latency_s:.3f} s",
            f"Output throughput: {shown}",
        ]
        lines += [f"  {one.name:<32} {one}" for one in self.groups]
        lines += [str(note) for note in head["notes"]]
        if score.asked < head["asked"]:
            lines.append(f"{head['asked'] - score.asked} of {head['asked']} have no answer yet")
        return "\n".join([*lines, self.provenance.short])


@dataclass(frozen=True)
class Comparison:
    """Two runs over the same problems. `p` is McNemar's exact test, two-sided."""

    a: Score
    b: Score
    only_a: int
    only_b: int

    @property
    def p(self) -> float:
        return paired_p(self.only_a, self.only_b)

    @property
    def differs(self) -> bool:
        """Whether chance alone would rarely (5 %) split so unevenly."""
        return self.p < 0.05

    def to_json(self) -> dict[str, Any]:
        return {
            "n": self.a.asked,
            "accuracy": [self.a.share, self.b.share],
            "only_a": self.only_a,
            "only_b": self.only_b,
            "p": self.p,
            "differs": self.differs,
        }

    def __str__(self) -> str:
        said = "differ" if self.differs else "no difference that this n can show"
        lines = [
            f"A {self.a}",
            f"B {self.b}",
            f"only A right {self.only_a}, only B right {self.only_b}: p {self.p:.3f}: {said}",
        ]
        changed = (self.only_a + self.only_b) / self.a.asked
        lost = abs(self.only_a - self.only_b) / self.a.asked
        if not self.differs and 0 < lost <= changed:
            n = needed_paired(lost, changed)
            lines.append(f"a true difference of {lost:.1%} would take about {n:,} problems")
        return "\n".join(lines)


def read_report(path: Path | None) -> EvalReport:
    """A result file, even of a run that broke off. Later answers to a problem win. Raises
    KitError."""
    if path is None:
        raise KitError("no file", _FORMAT)
    rows = [row for _, row in json_lines(path, _FORMAT, torn=True)]
    if rows and "symbolic_correct" in rows[0]:
        return _of_sgl_eval(path, rows)
    if not rows or "eval" not in rows[0]:
        raise KitError(f"{path} is no result of kit eval or sgl-eval", _FORMAT)
    known = {field.name for field in fields(Answered)}
    answers: dict[str, Answered] = {}
    for row in rows[1:]:
        try:
            answers[row["id"]] = Answered(**{key: row[key] for key in row if key in known})
        except (KeyError, TypeError) as problem:
            raise KitError(f"{path}: an answer without {problem}", _FORMAT) from problem
    return EvalReport(rows[0], tuple(answers.values()))


def _of_sgl_eval(path: Path, rows: list[dict[str, Any]]) -> EvalReport:
    """A file `output-rs0.jsonl` of sgl-eval: it names no model and no problems but by their ids."""
    begun = min(float(row.get("generation_start_time") or 0) for row in rows)
    answers = tuple(
        Answered(
            str(row.get("id")), "", str(row.get("generation", "")), row.get("predicted_answer"),
            str(row.get("expected_answer")), bool(row["symbolic_correct"]),
            row.get("num_generated_tokens"), row.get("finish_reason"),
            float(row.get("generation_start_time") or 0) - begun,
            float(row.get("generation_end_time") or 0) - begun,
        )
        for row in rows
    )  # fmt: skip
    asked = hashlib.sha256(json.dumps(sorted(a.id + a.answer for a in answers)).encode())
    head = {
        "eval": f"{path.parent.name} (sgl-eval)",
        "problems": asked.hexdigest()[:16],
        "asked": len(answers),
        "model": "not named in the file",
        "settings": {},
        "shots": 0,
        "notes": ["answers read from \\boxed{} by sgl-eval"],
        "provenance": measured(f"sgl-eval, {path.name}").to_json(),
    }
    return EvalReport(head, answers)


def recorded(name: str) -> EvalReport:
    """A result of the pocket model on the real SGLang, kept as data: "pocket-instruct",
    "pocket-thinking". Raises UnknownName."""
    folder = Path(str(load_data.path("evals")))
    known = {path.stem: path for path in folder.glob("*.jsonl")}
    if name not in known:
        raise UnknownName("recorded evaluation", name, known)
    return read_report(known[name])


def compare(a: EvalReport, b: EvalReport) -> Comparison:
    """Over the problems that both answered. Raises KitError where the problems differ."""
    if a.head.get("problems") != b.head.get("problems"):
        raise KitError(
            "the two runs asked other problems, so their scores cannot be paired",
            "run both with the same --data, --limit and --seed",
        )
    of_a = {one.id: one for one in a.answers}
    pairs = [(of_a[one.id], one) for one in b.answers if one.id in of_a]
    if not pairs:
        raise KitError("no problem was answered by both", "let both runs end")
    return Comparison(
        _score("A", [x for x, _ in pairs]),
        _score("B", [y for _, y in pairs]),
        sum(x.right and not y.right for x, y in pairs),
        sum(y.right and not x.right for x, y in pairs),
    )


def _score(name: str, answers: Any) -> Score:
    rows = list(answers)
    invalid = sum(one.predicted is None for one in rows)
    return Score(name, len(rows), sum(one.right for one in rows), invalid)
