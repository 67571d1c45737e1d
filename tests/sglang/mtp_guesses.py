"""What the pocket model's MTP layer guesses after each token of given texts, by transformers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from transformers import PreTrainedTokenizerFast, Qwen3_5ForConditionalGeneration

from pocket.mtp import MtpLayer


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
    """After each token of the answer; towards its end fewer drafts can be right.

    As a server drafts: the first of a chain from the model's own hidden state, the others from the
    layer's; each attends to the first ones of all tokens before and to those of its own chain.
    """
    language_model = model.model.language_model
    x = torch.tensor([[*prompt, *answer]])
    hidden = language_model(input_ids=x, use_cache=False).last_hidden_state
    first = len(prompt)  # drafts go on from the hidden state before this token, and from it
    stands = torch.ones(len(answer), dtype=torch.bool)
    right = torch.zeros(len(answer), dtype=torch.long)
    inputs: list[torch.Tensor] = []
    for draft in range(1, drafts + 1):
        embedding = language_model.embed_tokens(x[:, draft:])
        states = layer.pre_fc_norm_hidden(hidden[:, : embedding.shape[1]])
        inputs.append(layer.fc(torch.cat([layer.pre_fc_norm_embedding(embedding), states], -1)))
        chain = torch.cat([torch.full((part.shape[1],), d) for d, part in enumerate(inputs)])
        start = torch.cat([torch.arange(part.shape[1]) for part in inputs])
        rotary = language_model.rotary_emb(
            embedding, (start + chain)[None, None].expand(3, 1, len(start))
        )
        before = (chain == 0) & (start <= start[:, None])
        own = (chain > 0) & (chain <= chain[:, None]) & (start == start[:, None])
        mask = torch.where(before | own, 0.0, -torch.inf)[None, None]
        out = layer.layers[0](
            torch.cat(inputs, 1), position_embeddings=rotary, attention_mask=mask, position_ids=None
        )
        out = out[0] if isinstance(out, tuple) else out
        hidden = layer.norm(out[:, -embedding.shape[1] :])
        said = model.lm_head(hidden[0, first - 1 : -1]).argmax(-1)
        hits = torch.zeros(len(answer), dtype=torch.bool)
        hits[: len(said)] = said == x[0, first + draft :]
        stands &= hits
        right += stands
    return tuple(right.tolist())
