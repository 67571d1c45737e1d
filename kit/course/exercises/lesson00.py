"""Lesson 00: weights per rank, and the length of one step."""

from __future__ import annotations

from kit.bench import published
from kit.course.check import Exercise
from kit.hardware import profile
from kit.sizing import plan

_TWO_NODES = "h100x16"


def _weights_gib(name: str = _TWO_NODES) -> float:
    return plan(profile(name)).ranks[0].weights_gib


def _weights_gb() -> float:
    return plan(profile(_TWO_NODES)).weights_gb / profile(_TWO_NODES).tp_size


def _row(key: str) -> float:
    return float(published("cookbook-latency").report[key])


def _step_ms() -> float:
    return _row("mean_tpot_ms") * _row("accept_length")


EXERCISES = (
    Exercise(
        "00-1",
        f"How many GiB of weights are on each GPU of {_TWO_NODES}?",
        _weights_gib,
        hint="The ledger of the first rank has an entry called weights.",
        solution="Twice the ranks, half the weights on each; and that fits a GPU of 80 GB.",
        tolerance=0.005,
    )
    .wrong(_weights_gb, "that is in GB, of 10⁹ bytes; a GPU's memory counts in GiB, of 2³⁰.")
    .wrong(lambda: _weights_gib("h200x8"), "that is the eight-GPU machine.")
    .wrong(lambda: 16 * _weights_gib(), "that is the whole model, not one GPU of it."),
    Exercise(
        "00-2",
        "How long did one step take, in ms, in the cookbook's latency run?",
        _step_ms,
        hint="A step gives as many tokens as the accept length says, and each counts one TPOT.",
        solution="TPOT is the time of a step shared out among the tokens that it gave.",
    )
    .wrong(
        lambda: _row("mean_tpot_ms") / _row("accept_length"),
        "you divided; a step gives several tokens, so it takes longer than one TPOT.",
    )
    .wrong(lambda: _row("mean_tpot_ms"), "that is the time of a token, not of a step."),
)
