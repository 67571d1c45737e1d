"""Lesson 00: weights per rank, the length of one step, and the wait for a whole answer."""

from __future__ import annotations

from kit.bench import published
from kit.course.check import Exercise
from kit.hardware import profile
from kit.sizing import plan

_TWO_NODES = "h100x16"
_TOKENS = 1000


def _weights_gib(name: str = _TWO_NODES) -> float:
    return plan(profile(name)).ranks[0].weights_gib


def _weights_gb() -> float:
    return plan(profile(_TWO_NODES)).weights_gb / profile(_TWO_NODES).tp_size


def _row(key: str) -> float:
    return float(published("cookbook-latency").report[key])


def _step_ms() -> float:
    return _row("mean_tpot_ms") * _row("accept_length")


def _answer_s(tokens: int = _TOKENS - 1) -> float:
    return (_row("mean_ttft_ms") + tokens * _row("mean_tpot_ms")) / 1000


EXERCISES = (
    Exercise(
        "00-1",
        f"How many GiB of weights are on each GPU of {_TWO_NODES}?",
        _weights_gib,
        hint="The ledger of the first rank has an entry called weights.",
        solution="Twice the ranks, half the weights on each; and that fits a GPU of 80 GB.",
        tolerance=0.005,
        working=lambda: f'kit.plan(kit.profile("{_TWO_NODES}")).ranks[0].weights_gib',
        unit="GiB",
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
        working=lambda: f"{_row('mean_tpot_ms')} × {_row('accept_length')}",
        unit="ms",
    )
    .wrong(
        lambda: _row("mean_tpot_ms") / _row("accept_length"),
        "you divided; a step gives several tokens, so it takes longer than one TPOT.",
    )
    .wrong(lambda: _row("mean_tpot_ms"), "that is the time of a token, not of a step.")
    .wrong(lambda: _step_ms() / 1000, "that is in seconds; the question asks for ms."),
    Exercise(
        "00-3",
        f"How many seconds pass from the question to the last of {_TOKENS:,} tokens, with the mean "
        "TTFT and TPOT of that run?",
        _answer_s,
        hint="The first token comes after the TTFT, and every further one a TPOT later.",
        solution="A short TTFT makes a server feel quick; the TPOT decides when it is done.",
        tolerance=0.0005,
        working=lambda: f"({_row('mean_ttft_ms')} + {_TOKENS - 1} × {_row('mean_tpot_ms')}) / 1000",
        unit="seconds",
    )
    .wrong(lambda: 1000 * _answer_s(), "that is in milliseconds.")
    .wrong(
        lambda: _TOKENS * _row("mean_tpot_ms") / 1000, "the wait for the first token is missing."
    )
    .wrong(lambda: _answer_s(_TOKENS), "the first token is in the TTFT: one TPOT too many.")
    .wrong(
        lambda: (_row("mean_ttft_ms") + (_TOKENS - 1) * _step_ms()) / 1000,
        "that is one step per token; a step gives several.",
    ),
)
