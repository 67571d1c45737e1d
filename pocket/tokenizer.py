"""The vocabulary: byte-level BPE with Qwen3.5's way of cutting text, its tags and its digits.

No entry joins letters with what stands before them. So a word is the same tokens wherever it
stands, after a space, a quote or an underscore: what a model this small has to copy, from a
question into an argument, it copies one to one.

python -m pocket.tokenizer        count it anew from the dialogues
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

from kit.pocket import WEIGHTS
from pocket.config import HERE, Size, parser, size
from pocket.data.session import session

# Qwen3.5's: letters with their marks, single digits, punctuation, spaces.
_REST = r" ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
_CUT = rf"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{{L}}\p{{N}}]?[\p{{L}}\p{{M}}]+|\p{{N}}|{_REST}"
_CUT_TO_COUNT = rf"[\p{{L}}\p{{M}}]+|\p{{N}}|{_REST}"  # letters by themselves
_CONTEXT = 4096
TEMPLATE = WEIGHTS / "chat_template.jinja"  # which the twin renders too


def folder(of: Size) -> Path:
    return of.folder.parent / "tokenizer"


def _texts(count: int, tags: list[str]) -> Iterator[str]:
    """Dialogues without their tags, then the course's own prose for words that they lack."""
    r = Random(1)
    for _ in range(count):
        text = "".join(segment.text for segment in session(r, copies=0.05))
        for tag in tags:
            text = text.replace(tag, "\n")
        yield text
    root = HERE.parent
    for path in (root / "README.md", *sorted((root / "kit/data/replies").glob("*.md"))):
        yield path.read_text()


def make(of: Size) -> Any:
    """The vocabulary of `of`, as transformers' fast tokenizer."""
    from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    special, tags = of.vocabulary["special"], of.vocabulary["tags"]
    bpe = Tokenizer(models.BPE())
    byte_level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    cut, to_count = (pre_tokenizers.Split(Regex(x), "isolated") for x in (_CUT, _CUT_TO_COUNT))
    bpe.pre_tokenizer = pre_tokenizers.Sequence([to_count, byte_level])
    bpe.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=of.vocabulary["size"] - len(special) - len(tags),
        min_frequency=3,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    )
    bpe.train_from_iterator(_texts(of.vocabulary["samples"], special + tags), trainer)
    bpe.pre_tokenizer = pre_tokenizers.Sequence([cut, byte_level])
    bpe.add_special_tokens([AddedToken(text, special=True, normalized=False) for text in special])
    bpe.add_tokens([AddedToken(text, special=False, normalized=False) for text in tags])
    out = PreTrainedTokenizerFast(
        tokenizer_object=bpe,
        eos_token="<|im_end|>",
        pad_token="<|endoftext|>",
        model_max_length=_CONTEXT,
        clean_up_tokenization_spaces=False,
    )
    out.add_special_tokens({"additional_special_tokens": special[1:]})
    return out


def load(of: Size) -> Any:
    """The vocabulary that was counted, with the chat template as it is now."""
    from transformers import PreTrainedTokenizerFast

    out = PreTrainedTokenizerFast.from_pretrained(folder(of))
    out.chat_template = TEMPLATE.read_text()
    return out


def main() -> None:
    of = size(parser(__doc__).parse_args().size)
    tokenizer = make(of)
    tokenizer.save_pretrained(folder(of))
    r = Random(2)
    texts = ["".join(segment.text for segment in session(r, copies=0.05)) for _ in range(300)]
    lengths = sorted(len(tokenizer(text).input_ids) for text in texts)
    print(f"{len(tokenizer)} entries in {folder(of)}")
    print(f"a session holds {lengths[150]} tokens (median), {lengths[-1]} at most")


if __name__ == "__main__":
    main()
