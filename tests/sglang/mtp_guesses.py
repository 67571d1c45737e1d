"""What the pocket model's MTP layer guesses after each token of given texts, by transformers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from transformers import PreTrainedTokenizerFast, Qwen3_5ForConditionalGeneration

from pocket.mtp import MtpLayer, guesses


@dataclass(frozen=True)
class Guesses:
    """For each text and each of its tokens from the first answered one on: how many of the drafts
    after it are right in a row, at most `drafts`.
    """

    right: tuple[tuple[int, ...], ...]
    drafts: int

    @classmethod
    def of(cls, folder: Path, texts: Sequence[tuple[str, list[int]]], drafts: int) -> Guesses:
        """`texts` are prompts with the tokens that follow them."""
        words = PreTrainedTokenizerFast.from_pretrained(folder)
        model = Qwen3_5ForConditionalGeneration.from_pretrained(folder, dtype=torch.float32).eval()
        layer = mtp_layer(folder, model)
        with torch.no_grad():
            return cls(
                tuple(
                    _right(model, layer, words(prompt).input_ids, answer, drafts)
                    for prompt, answer in texts
                ),
                drafts,
            )

    def chances(self) -> list[float]:
        """How often each draft is right where those before it are, over all tokens that have so
        many after them.
        """
        out = []
        for draft in range(1, self.drafts + 1):
            runs = [n for row in self.right for n in row[: len(row) - draft]]
            asked = [n for n in runs if n >= draft - 1]
            out.append(sum(n >= draft for n in asked) / max(1, len(asked)))
        return out

    def steps(self) -> int:
        """Verify steps in all: after the first token, each gives its right drafts and one more."""
        steps = 0
        for row in self.right:
            at = 0
            while at < len(row) - 1:
                at += row[at] + 1
                steps += 1
        return steps


def mtp_layer(folder: Path, model: Any) -> MtpLayer:
    held = load_file(folder / "model.safetensors")
    layer = MtpLayer(model.model.language_model.config)
    own = {name.removeprefix("mtp."): w.float() for name, w in held.items() if name[:4] == "mtp."}
    layer.load_state_dict(own)
    return layer.eval()


def _right(
    model: Any, layer: MtpLayer, prompt: list[int], answer: list[int], drafts: int
) -> tuple[int, ...]:
    """After each token of the answer; towards its end fewer drafts can be right."""
    x = torch.tensor([[*prompt, *answer]])
    first = len(prompt)  # drafts go on from the hidden state before this token, and from it
    stands = torch.ones(len(answer), dtype=torch.bool)
    right = torch.zeros(len(answer), dtype=torch.long)
    for draft, hidden in enumerate(guesses(model, layer, x, drafts), 1):
        said = model.lm_head(hidden[0, first - 1 : -1]).argmax(-1)
        hits = torch.zeros(len(answer), dtype=torch.bool)
        hits[: len(said)] = said == x[0, first + draft :]
        stands &= hits
        right += stands
    return tuple(right.tolist())
