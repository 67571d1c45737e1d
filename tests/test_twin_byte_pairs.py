"""Tokens without tiktoken are tiktoken's."""

from __future__ import annotations

import random
import re
import subprocess
import sys
from pathlib import Path

import pytest
import tiktoken

from kit import load_data
from kit.twin.byte_pairs import BytePairs, special_tokens, token_table, word_pattern
from kit.twin.tokenizer import vocabulary

ROOT = Path(__file__).parent.parent
TEXTS = sorted(
    path
    for pattern in ("*.md", "docs/*.md", "notebooks/*.ipynb", "kit/data/replies/**/*.toml")
    for path in ROOT.glob(pattern)
)


@pytest.fixture(scope="module")
def plain() -> BytePairs:
    return BytePairs(token_table(), word_pattern(), special_tokens())


def test_the_repositorys_own_texts_have_the_same_tokens(plain: BytePairs) -> None:
    assert len(TEXTS) > 20
    for path in TEXTS:
        text = path.read_text(encoding="utf-8")[:12_000]
        assert plain.encode(text) == vocabulary().encode(text), path


def test_texts_of_all_scripts_have_the_same_tokens(plain: BytePairs) -> None:
    draw = random.Random(35)
    kinds = [(0x20, 0x7F), (0, 0x500), (0x500, 0x3100), (0x3100, 0xD000), (0xE000, 0x32000)]
    for _ in range(400):
        text = "".join(chr(draw.randrange(*draw.choice(kinds))) for _ in range(50))
        text += draw.choice(["<|im_end|>", "<think>", " \n\n", "'LL", "\u017f 12345"])
        assert vocabulary()._ids(text) == plain.encode(text), ascii(text)


@pytest.mark.parametrize(
    "text", ["a" * 5000, "é" * 3000, " " * 5000, "ab\n" * 999, "的" * 2000, ""]
)
def test_runs_of_one_kind_have_the_same_tokens(plain: BytePairs, text: str) -> None:
    assert plain.encode(text) == vocabulary().encode(text)


def test_each_token_has_the_same_bytes(plain: BytePairs) -> None:
    for token in (*range(0, 248_044, 997), *special_tokens().values()):
        assert plain.token_bytes(token) == vocabulary().piece(token)
    for unused in (-1, 248_077, 10**9):
        with pytest.raises(KeyError):
            plain.token_bytes(unused)


@pytest.mark.parametrize("name", ["L", "M", "N", "s"])
def test_the_classes_of_characters_are_tiktokens(name: str) -> None:
    pattern = r"\s" if name == "s" else rf"\p{{{name}}}"
    each_byte = {bytes([i]): i for i in range(256)}
    judge = tiktoken.Encoding(
        "judge", pat_str=pattern, mergeable_ranks=each_byte, special_tokens={}
    )
    points = [p for p in range(0x33000) if not 0xD800 <= p < 0xE000]
    known = bytes(judge.encode_ordinary("".join(map(chr, points)))).decode()
    ours = set()
    for first, last in re.findall(
        r"(\w+)(?:-(\w+))?", load_data.toml("twin/unicode_classes.toml")[name]
    ):
        ours |= set(range(int(first, 16), int(last or first, 16) + 1))
    assert {p for p in ours if p < 0x33000} == set(map(ord, known))


def test_a_twin_without_tiktoken_counts_the_same() -> None:
    code = (
        "import sys; sys.modules['tiktoken'] = None\n"
        "from kit.twin.tokenizer import vocabulary\n"
        "print(vocabulary().encode('Grüße, 你好 <think>\\n 15%'))"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert said.stdout.strip() == str(vocabulary().encode("Grüße, 你好 <think>\n 15%"))
