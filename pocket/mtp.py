"""Train the layer that guesses ahead (MTP) on the finished, frozen language model.

    python -m pocket.mtp --size small

From the model's last hidden state at a token and the embedding of the next one, the layer
predicts the token after that. Its names and shapes are Qwen3.5's, so that SGLang's NEXTN and
llama.cpp load it. `mtp.json` keeps its accuracy on held-out dialogues.
"""

from __future__ import annotations

import json
import time
from random import Random
from typing import Any

import torch
from torch import nn
from transformers.models.qwen3_5.modeling_qwen3_5 import Qwen3_5DecoderLayer, Qwen3_5RMSNorm

from pocket import tokenizer as vocabulary
from pocket.batches import IGNORED, Blocks, dialogue_tokens, padded, stream
from pocket.config import Size, parser, size
from pocket.data.session import PLAIN, WITH_TOOLS, draw
from pocket.model import trained
from pocket.train import rate

SEED = 36
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

    def forward(self, embedding: Any, hidden: Any, positions: Any) -> Any:
        """[rows, tokens, width] each → the hidden state that predicts the token after next."""
        both = [self.pre_fc_norm_embedding(embedding), self.pre_fc_norm_hidden(hidden)]
        out = self.layers[0](
            self.fc(torch.cat(both, -1)),
            position_embeddings=positions,
            attention_mask=None,
            position_ids=None,
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


def guess(model: Any, layer: MtpLayer, x: Any, y: Any, device: str) -> tuple[Any, Any]:
    """Logits [n, vocabulary] and the n tokens that they should name."""
    language_model = model.model.language_model
    kept = y[:, 2:] != IGNORED
    with torch.autocast(device, torch.bfloat16):
        with torch.no_grad():
            hidden = language_model(input_ids=x, use_cache=False).last_hidden_state
            embedding = language_model.embed_tokens(x[:, 1:])
        rows, tokens = x.shape[0], x.shape[1] - 1
        places = torch.arange(tokens, device=device)[None, None].expand(3, rows, tokens)
        positions = language_model.rotary_emb(embedding, places)
        out = layer(embedding, hidden[:, :-1], positions)
        logits = model.lm_head(out[:, :-1][kept])
    return logits.float(), y[:, 2:][kept]


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
        logits, targets = guess(model, layer, x, y, device)
        loss = nn.functional.cross_entropy(logits, targets)
        loss.backward()
        for optimizer in optimizers:
            optimizer.step()
            optimizer.zero_grad()
        if time.monotonic() - told > _TELL_EVERY_S:
            told = time.monotonic()
            right = (logits.argmax(-1) == targets).float().mean().item()
            minutes = (told - begin) / 60
            print(
                f"{minutes:6.1f} min  step {step}  loss {loss:.3f}  right {right:.1%}", flush=True
            )
    return model.to("cpu"), layer.to("cpu")


def accuracy(model: Any, layer: MtpLayer, tokenizer: Any, each: int = 20) -> dict[str, float]:
    """Share of held-out tokens that the layer guesses, by kind of dialogue."""
    out = {}
    for kind in (*PLAIN, *WITH_TOOLS):
        r = Random(f"mtp {kind}")
        rows = [dialogue_tokens(tokenizer, draw(r, "test", kind, i % 2 == 0)) for i in range(each)]
        x, y = padded(rows, tokenizer.pad_token_id)
        with torch.no_grad():
            logits, targets = guess(model, layer, x, y, "cpu")
        out[kind] = (logits.argmax(-1) == targets).float().mean().item()
    return out


def main() -> None:
    arguments = parser(__doc__)
    arguments.add_argument("--steps", type=int, help="instead of config.toml's")
    asked = arguments.parse_args()
    of = size(asked.size)
    model, layer = train(of, asked.steps or of.training["mtp_steps"])
    torch.save(layer.state_dict(), of.folder / "mtp.pt")
    right = accuracy(model, layer, vocabulary.load(of))
    (of.folder / "mtp.json").write_text(json.dumps(right, indent=1) + "\n")
    print("held out: " + ", ".join(f"{kind} {share:.1%}" for kind, share in right.items()))


if __name__ == "__main__":
    main()
