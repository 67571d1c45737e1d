"""Words to fill sentences with. A checksum decides which of them no tool and no call of training
holds: there they stand among words to repeat, and in the course's own sentences."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Sequence
from functools import cache
from importlib.resources import files
from random import Random
from typing import Any, Literal
from zlib import crc32

Split = Literal["train", "test"]

LISTS = ("cities", "people", "items", "topics", "corpora", "search_words", "actions", "objects")
_PROSE = ("lessons", "phrases", "words")
_SHORT = 20
_ONSETS = (*"bcdfghjklmnprstvwz", "ch", "sh", "th", "br", "tr", "st", "pl", "gr", "kr", "dr")
_VOWELS = (*"aeiou", "ai", "ou", "ea", "ee")
_ENDS = ("", "", *"nrslmt", "ra", "ton", "ville", "berg", "nd", "rk")


@cache
def table(name: str) -> dict[str, Any]:
    """A table of this package, such as `words` for words.toml."""
    return tomllib.loads(files(__package__).joinpath(f"{name}.toml").read_text())


@cache
def words(name: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(table("words")[name].split()))


def phrases(section: str, name: str) -> tuple[Any, ...]:
    """Ways to say something, of phrases.toml."""
    return tuple(table("phrases")[section][name])


def belongs(item: object, split: Split, one_in: int = 8) -> bool:
    """Whether an item may be used in a split: one in `one_in` is kept for testing."""
    if item in table("words")["course"]:
        return split == "train"
    return (crc32(f"pocket {item}".encode()) % one_in == 0) == (split == "test")


@cache
def share(items: tuple[str, ...], split: Split) -> tuple[str, ...]:
    """The items that a split may use; short lists are not divided."""
    if len(items) < _SHORT:
        return items
    return tuple(item for item in items if belongs(item, split))


def pick(r: Random, name: str, split: Split) -> str:
    """A word of a list that the split may use."""
    return r.choice(share(words(name), split))


def until(draw: Callable[[], Any], split: Split, one_in: int = 8) -> Any:
    """Draw until the split may use it."""
    while not belongs(item := draw(), split, one_in):
        pass
    return item


def glued(r: Random, split: Split) -> str:
    """The beginning of one word and the end of another: nothing but copying tells its middle."""

    def word() -> str:
        known = pick(r, r.choice(LISTS), split)
        return r.choice(share(prose(), split)) if r.random() < 0.4 else known

    def draw() -> str:
        first, last = word(), word()
        return first[: r.randrange(1, len(first) + 1)] + last[r.randrange(1, len(last)) :]

    return str(until(draw, split))


@cache
def kept() -> frozenset[str]:
    """The words of the lists that are kept for testing, in small letters."""
    apart = (set(words(name)) - set(share(words(name), "train")) for name in LISTS)
    return frozenset(word.lower() for word in set().union(*apart))


@cache
def prose() -> tuple[str, ...]:
    """The longer words of the course's answers and of all questions."""
    return tuple(word for word in common() if len(word) > 2)


@cache
def common() -> tuple[str, ...]:
    """All words of the course's answers, of all questions, and of the lists above, in small
    letters: those kept for testing as well."""
    every = (files(__package__).joinpath(f"{name}.toml").read_text() for name in _PROSE)
    return tuple(dict.fromkeys(re.findall(r"[a-z]+", " ".join(every).lower())))


def invented(r: Random, split: Split, syllables: Sequence[int] = (1, 2, 2, 3)) -> str:
    """A word that does not exist, so that only copying gets it right."""

    def draw() -> str:
        if split == "train" and r.random() < 0.5:
            return glued(r, split).lower()
        parts = [r.choice(_ONSETS) + r.choice(_VOWELS) for _ in range(r.choice(syllables))]
        return "".join(parts) + r.choice(_ENDS)

    while (word := str(until(draw, split))) in kept():
        pass
    return word


def message(r: Random, split: Split, length: int) -> str:
    """What one might send: everyday words in any order, which is what is kept apart, and every
    fourth word invented."""

    def word() -> str:
        return invented(r, split) if r.random() < 0.25 else r.choice(words("message_words"))

    return str(until(lambda: several(word, length), split))


def several(word: Callable[[], str], count: int) -> str:
    """So many different words."""
    out: dict[str, None] = {}
    while len(out) < count:
        out.setdefault(word())
    return " ".join(out)


def city(r: Random, split: Split) -> str:
    """A place, of one word or two; in training often an invented one."""
    strange = split == "train" and r.random() < 0.6
    name = invented(r, split).capitalize() if strange else pick(r, "cities", split)
    shape = r.random()
    if strange and shape < 0.05:
        return name.upper()
    if shape < 0.85:
        return name
    before = invented(r, split).capitalize() if strange else pick(r, "before_cities", split)
    return f"{before} {name}"
