"""Train the layer that guesses ahead (MTP) on the finished, frozen language model.

    python -m pocket.mtp --size small

From the model's last hidden state at a token and the embedding of the next one, the layer
predicts the token after that; from its own hidden state and that token, the one after; and so on.
It learns to do so as a server drafts: each guess attends to the first guesses of all tokens before
and to those of its own chain. Names and shapes are Qwen3.5's, so that SGLang's NEXTN and llama.cpp
load it. `mtp.json` keeps how often each draft is right on held-out dialogues.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from random import Random
from typing import Any

import torch
from torch import nn
from transformers.models.qwen3_5.modeling_qwen3_5 import Qwen3_5DecoderLayer, Qwen3_5RMSNorm

from kit.speed.speculation import accept_length
from pocket import tokenizer as vocabulary
from pocket.batches import IGNORED, Blocks, dialogue_tokens, padded, stream
from pocket.config import Size, parser, size
from pocket.data.session import PLAIN, WITH_TOOLS, draw
from pocket.model import trained
from pocket.train import rate

SEED = 36
DRAFTS = 3  # as SGLang's usual options draft
_TELL_EVERY_S = 20
_NO_COPIES = {"copies_first": 0.0, "copies_last": 0.0}


class MtpLayer(nn.Module):
    """fc([embedding, hidden]) → one layer of full attention → norm."""

    def __init__(self, config: Any) -> None:
        super().__init__()
        width, eps = config.hidden_size, config.rms_norm_eps
        self.pre_fc_norm_embedding = Qwen3_5RMSNorm(width, eps)
        self.pre_fc_norm_hidden = Qwen3_5RMSNorm(width, eps)
        self.fc = nn.Linear(2 * width, width, bias=False)
        full = config.layer_types.index("full_attention")
        self.layers = nn.ModuleList([Qwen3_5DecoderLayer(config, full)])
        self.norm = Qwen3_5RMSNorm(width, eps)

    def join(self, embedding: Any, hidden: Any) -> Any:
        """[rows, tokens, width] each → what the layer reads at these tokens."""
        both = [self.pre_fc_norm_embedding(embedding), self.pre_fc_norm_hidden(hidden)]
        return self.fc(torch.cat(both, -1))

    def forward(self, joined: Any, positions: Any, mask: Any) -> Any:
        """What `join` gave → the hidden states that predict the tokens after next."""
        out = self.layers[0](
            joined, position_embeddings=positions, attention_mask=mask, position_ids=None
        )
        return self.norm(out[0] if isinstance(out, tuple) else out)

    def start_from(self, language_model: Any) -> None:
        """Begin as the model's own last layer of full attention, fed with the mean of both."""
        config = language_model.config
        last = max(i for i, kind in enumerate(config.layer_types) if kind == "full_attention")
        self.layers[0].load_state_dict(language_model.layers[last].state_dict())
        width = config.hidden_size
        with torch.no_grad():
            nn.init.normal_(self.fc.weight, std=0.02)
            half = 0.5 * torch.eye(width)
            self.fc.weight[:, :width] += half
            self.fc.weight[:, width:] += half


def guesses(model: Any, layer: MtpLayer, x: Any, count: int = DRAFTS) -> Iterator[Any]:
    """The layer's hidden states for the first draft after every token but the last, the second, …

    [rows, tokens − draft, width] each. A server keeps keys and values of first drafts alone: those
    that come after them see these and their own chain's.
    """
    language_model = model.model.language_model
    with torch.no_grad():
        hidden = language_model(input_ids=x, use_cache=False).last_hidden_state
    joined: list[Any] = []
    for ahead in range(1, count + 1):
        embedding = language_model.embed_tokens(x[:, ahead:])
        joined.append(layer.join(embedding, hidden[:, : embedding.shape[1]]))
        start, chain = _places([part.shape[1] for part in joined], x.device)
        places = (start + chain).expand(3, len(x), len(start))
        positions = language_model.rotary_emb(embedding, places)
        out = layer(torch.cat(joined, 1), positions, _mask(start, chain))
        hidden = out[:, -embedding.shape[1] :]
        yield hidden


def _places(lengths: Sequence[int], device: Any) -> tuple[Any, Any]:
    """Of each draft in a row of drafts: the token that its chain begins after, its place in it."""
    start = [torch.arange(length, device=device) for length in lengths]
    chain = [torch.full_like(one, place) for place, one in enumerate(start)]
    return torch.cat(start), torch.cat(chain)


def _mask(start: Any, chain: Any) -> Any:
    """Which draft attends to which: [1, 1, drafts, drafts], True where it does."""
    before = (chain == 0) & (start <= start[:, None])
    own = (chain > 0) & (chain <= chain[:, None]) & (start == start[:, None])
    return (before | own)[None, None]


def drafts(model: Any, layer: MtpLayer, x: Any, y: Any, device: str) -> list[tuple[Any, Any]]:
    """For each of DRAFTS drafts: logits [n, vocabulary] of the n tokens that count, and labels.

    The labels are [rows, tokens], with IGNORED where a token does not count.
    """
    out = []
    with torch.autocast(device, torch.bfloat16):
        for ahead, hidden in enumerate(guesses(model, layer, x), 1):
            labels = y[:, ahead + 1 :]
            logits = model.lm_head(hidden[:, :-1][labels != IGNORED])
            out.append((logits.float(), labels))
    return out


def train(of: Size, steps: int) -> tuple[Any, MtpLayer]:
    training = of.training
    device = "cuda" if torch.cuda.is_available() else "cpu"
    model = trained(of).to(device).eval().requires_grad_(False)
    layer = MtpLayer(model.model.language_model.config).to("cpu")
    layer.start_from(model.model.language_model.to("cpu"))
    model.to(device)
    layer.to(device)
    matrices = [p for p in layer.parameters() if p.dim() == 2]
    vectors = [p for p in layer.parameters() if p.dim() != 2]
    optimizers = [
        torch.optim.Muon(matrices, lr=training["muon_rate"], momentum=0.95, weight_decay=0.01),
        torch.optim.AdamW(vectors, lr=training["adam_rate"], weight_decay=0.0),
    ]
    bases = [o.param_groups[0]["lr"] for o in optimizers]
    blocks = Blocks(vocabulary.load(of), {**training, **_NO_COPIES}, steps, SEED)
    begin = told = time.monotonic()
    for step, batch in enumerate(stream(blocks, 0, training["workers"])):
        share = rate(step, steps, training)
        for optimizer, base in zip(optimizers, bases, strict=True):
            for group in optimizer.param_groups:
                group["lr"] = base * share
        x, y = (part.to(device) for part in batch)
        losses = [
            nn.functional.cross_entropy(logits, labels[labels != IGNORED])
            for logits, labels in drafts(model, layer, x, y, device)
        ]
        loss = torch.stack(losses).mean()
        loss.backward()
        for optimizer in optimizers:
            optimizer.step()
            optimizer.zero_grad()
        if time.monotonic() - told > _TELL_EVERY_S:
            told = time.monotonic()
            each = ", ".join(f"{one.item():.3f}" for one in losses)
            print(f"{(told - begin) / 60:6.1f} min  step {step}  losses {each}", flush=True)
    return model.to("cpu"), layer.to("cpu")


def chances(model: Any, layer: MtpLayer, tokenizer: Any, each: int = 20) -> dict[str, list[float]]:
    """By kind of held-out dialogue: how often each draft is right where those before it are."""
    out: dict[str, list[float]] = {}
    for kind in (*PLAIN, *WITH_TOOLS):
        r = Random(f"mtp {kind}")
        rows = [dialogue_tokens(tokenizer, draw(r, "test", kind, i % 2 == 0)) for i in range(each)]
        x, y = padded(rows, tokenizer.pad_token_id)
        with torch.no_grad():
            guessed = drafts(model, layer, x, y, "cpu")
        out[kind] = []
        alive = torch.ones_like(y, dtype=torch.bool)
        for logits, labels in guessed:
            asked = labels != IGNORED
            right = torch.zeros_like(asked)
            right[asked] = logits.argmax(-1) == labels[asked]
            asked &= alive[:, : asked.shape[1]]
            alive = right & asked
            out[kind].append((alive.sum() / asked.sum().clamp(min=1)).item())
    return out


def main() -> None:
    arguments = parser(__doc__)
    arguments.add_argument("--steps", type=int, help="instead of config.toml's")
    asked = arguments.parse_args()
    of = size(asked.size)
    model, layer = train(of, asked.steps or of.training["mtp_steps"])
    torch.save(layer.state_dict(), of.folder / "mtp.pt")
    right = chances(model, layer, vocabulary.load(of))
    (of.folder / "mtp.json").write_text(json.dumps(right, indent=1) + "\n")
    for kind, shares in right.items():
        each = ", ".join(f"{share:.1%}" for share in shares)
        print(f"{kind:<14} {each}: accept length {accept_length(shares):.2f}")


if __name__ == "__main__":
    main()
