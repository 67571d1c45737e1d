"""Percentages and sums, with the working that makes them easy.

Halving, doubling and dividing by ten change each digit by its neighbours alone, which a small
model learns; so every percentage here is a chain of them. Sums are worked digit by digit.
"""

from __future__ import annotations

from random import Random

from pocket.data.dialogue import Dialogue, assistant, user, worked
from pocket.data.words import Split, phrases, pick, until

PERCENTS = (5, 10, 20, 25, 50)  # and 15, where two of their results have to be added
LARGEST = 400
HELD_OUT_ONE_IN = 5


def shown(hundredths: int) -> str:
    """3650 hundredths → 36.5."""
    return f"{hundredths // 100}.{hundredths % 100:02d}".rstrip("0").rstrip(".")


def percent_working(p: int, n: int) -> tuple[str, str]:
    """The steps and the result, both as text."""
    tenth, half = shown(10 * n), shown(50 * n)
    result = shown(p * n)
    steps = {
        10: [f"10% of {n} = {tenth}."],
        50: [f"Half of {n} = {half}."],
        5: [f"10% of {n} = {tenth}.", f"Half of {tenth} = {result}."],
        20: [f"10% of {n} = {tenth}.", f"Twice {tenth} = {result}."],
        25: [f"Half of {n} = {half}.", f"Half of {half} = {result}."],
        15: [
            f"10% of {n} = {tenth}.",
            f"Half of {tenth} = {shown(5 * n)}.",
            sum_working(n // 10, n // 20),
            f"{tenth} + {shown(5 * n)} = {result}.",
        ],
    }[p]
    return "\n".join(steps), result


def percent(r: Random, split: Split, thinking: bool) -> Dialogue:
    """One of PERCENTS, of a multiple of ten up to LARGEST."""
    return _percent(r, split, thinking, "percent", PERCENTS)


def fifteen(r: Random, split: Split, thinking: bool) -> Dialogue:
    """15 % of such a number."""
    return _percent(r, split, thinking, "15 percent", (15,))


def _percent(
    r: Random, split: Split, thinking: bool, kind: str, percents: tuple[int, ...]
) -> Dialogue:
    p, n = _pair(r, split, percents)
    steps, result = percent_working(p, n)
    if r.random() < 0.8:
        ask, unit = r.choice(phrases("percent", "ask")).format(p=p, n=n), ""
    else:
        what = pick(r, "items", split)
        told = {"who": pick(r, "people", split), "what": what, "n": n, "p": p}
        ask = r.choice(phrases("percent", "story")).format(**told)
        unit = f" {what}"
    said = f"**{p}% of {n}{unit} is {result}.**"
    answer = worked(thinking, steps, said)
    return Dialogue(kind, (user(ask),), steps, answer, said, thinking)


def follow_up(r: Random, split: Split, thinking: bool) -> Dialogue:
    """A second question about the first: another percentage of it, or half of the result."""
    p, n = _pair(r, split)
    before = p if (half := r.random() < 0.5) else r.choice(PERCENTS)
    said = f"**{before}% of {n} is {shown(before * n)}.**"
    history = (user(r.choice(phrases("percent", "ask")).format(p=before, n=n)), assistant(said))
    if half:
        whole = shown(p * n)
        key = f"Half of {whole} is **{_halved(p * n)}**."
        steps, ask = f"Half of {whole} = {_halved(p * n)}.", r.choice(phrases("percent", "half"))
    else:
        steps, result = percent_working(p, n)
        key, ask = (
            f"**{p}% of {n} is {result}.**",
            r.choice(phrases("percent", "again")).format(p=p),
        )
    answer = worked(thinking, steps, key)
    return Dialogue("follow-up", (*history, user(ask)), steps, answer, key, thinking)


def _pair(r: Random, split: Split, percents: tuple[int, ...] = PERCENTS) -> tuple[int, int]:
    """A percentage and a multiple of ten up to LARGEST."""
    pair = until(
        lambda: (r.choice(percents), r.randrange(10, LARGEST + 1, 10)), split, HELD_OUT_ONE_IN
    )
    return pair[0], pair[1]


def _halved(hundredths: int) -> str:
    return f"{hundredths / 200:.3f}".rstrip("0").rstrip(".")


def sum_working(a: int, b: int) -> str:
    """47 + 38, digit by digit from the right."""
    ones, tens = a % 10 + b % 10, a // 10 + b // 10
    if ones < 10:
        return f"{a % 10} + {b % 10} = {ones}. {a // 10} + {b // 10} = {tens}."
    return f"{a % 10} + {b % 10} = {ones}, carry 1. {a // 10} + {b // 10} + 1 = {tens + 1}."


def difference_working(a: int, b: int) -> str:
    """52 - 38, digit by digit from the right."""
    if a % 10 >= b % 10:
        return (
            f"{a % 10} - {b % 10} = {a % 10 - b % 10}. {a // 10} - {b // 10} = {a // 10 - b // 10}."
        )
    return (
        f"{a % 10 + 10} - {b % 10} = {a % 10 + 10 - b % 10}, borrow 1. "
        f"{a // 10} - {b // 10} - 1 = {a // 10 - b // 10 - 1}."
    )


def drill(r: Random, thinking: bool) -> Dialogue:
    """The single steps of all workings above, many at once: these have to be known by heart."""
    facts = dict(_fact(r) for _ in range(12))
    ask = r.choice(phrases("drill", "ask")).format(facts=", ".join(facts))
    answer = " ".join(f"{left} = {right}." for left, right in facts.items())
    return Dialogue("drill", (user(ask),), "One by one.", answer, answer, thinking)


def _fact(r: Random) -> tuple[str, str]:
    a, b, n = r.randrange(10), r.randrange(10), r.randrange(10, LARGEST + 1, 10)
    match r.randrange(7):
        case 0 | 1:
            return f"{a} + {b}", str(a + b)
        case 2:
            return f"{a} + {b} + 1", str(a + b + 1)
        case 3 | 4:
            return f"{a + b} - {b}", str(a)
        case 5:
            whole = n * r.choice((10, 25, 50, 100))
            return f"Half of {shown(whole)}", _halved(whole)
    return r.choice(((f"10% of {n}", shown(10 * n)), (f"Twice {shown(10 * n)}", shown(20 * n))))


def small_sum(r: Random, split: Split, thinking: bool) -> Dialogue:
    """A sum or a difference of two numbers of two digits."""
    plus = r.random() < 0.5

    def draw() -> tuple[str, int, int]:
        a, b = r.randrange(10, 100), r.randrange(10, 100)
        return ("+", a, b) if plus else ("-", max(a, b), min(a, b))

    sign, a, b = until(draw, split, HELD_OUT_ONE_IN)
    working = sum_working(a, b) if plus else difference_working(a, b)
    result = a + b if plus else a - b
    told = {"who": pick(r, "people", split), "what": pick(r, "items", split), "a": a, "b": b}
    form = ("plus" if plus else "minus") + ("_story" if r.random() < 0.25 else "")
    ask = r.choice(phrases("sum", form)).format(**told)
    said = f"**{a} {sign} {b} = {result}**"
    answer = worked(thinking, working, said)
    return Dialogue("sum", (user(ask),), working, answer, said, thinking)
