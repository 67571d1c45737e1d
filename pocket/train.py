"""Train the language model: Muon for the matrices, AdamW for the rest, bf16 where it pays.

    python -m pocket.train --size small                 as many steps as config.toml says
    python -m pocket.train --size small --steps 2000    fewer, when time is short

A checkpoint is saved every few minutes and on Ctrl-C; the same command goes on from it. Rates
and data follow the step alone, so a run that was interrupted is the run it would have been.
"""

from __future__ import annotations

import json
import signal
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from random import Random
from typing import Any

from pocket import fast
from pocket import tokenizer as vocabulary
from pocket.batches import IGNORED, Blocks, dialogue_tokens, padded, stream
from pocket.config import Size, parser, size
from pocket.data.session import PLAIN, WITH_TOOLS, draw
from pocket.model import fresh, text_parameters
from pocket.plot import loss_plot

SEED = 35
_TELL_EVERY_S = 30


@dataclass
class Progress:
    step: int = 0
    tokens: int = 0
    spent_s: float = 0.0
    loss: float | None = None


def rate(step: int, steps: int, training: dict[str, Any]) -> float:
    """The share of the full learning rate: a short rise, a plateau, a fall to zero."""
    rise = min(1.0, (step + 1) / training["warmup_steps"])
    return rise * float(min(1.0, (1 - step / steps) / training["decay_share"]))


def optimizers(model: Any, training: dict[str, Any]) -> list[Any]:
    """Muon for what multiplies a hidden vector, AdamW for embeddings, gates and vectors."""
    import torch

    named = text_parameters(model)
    small = ("embed", "lm_head", "in_proj_a", "in_proj_b")
    matrices = [p for n, p in named if p.dim() == 2 and not any(part in n for part in small)]
    chosen = {id(p) for p in matrices}
    rest = [p for _, p in named if id(p) not in chosen]
    return [
        torch.optim.Muon(matrices, lr=training["muon_rate"], momentum=0.95, weight_decay=0.01),
        torch.optim.AdamW(rest, lr=training["adam_rate"], betas=(0.9, 0.98), weight_decay=0.0),
    ]


def loss_of(model: Any, x: Any, y: Any, device: str) -> Any:
    """Mean cross-entropy of the tokens that are learnt."""
    import torch

    targets = y[:, 1:]
    kept = targets != IGNORED
    with torch.autocast(device, torch.bfloat16):
        hidden = model.model.language_model(input_ids=x, use_cache=False).last_hidden_state
        logits = model.lm_head(hidden[:, :-1][kept])
    return torch.nn.functional.cross_entropy(logits.float(), targets[kept])


def held_out(model: Any, tokenizer: Any, device: str, each: int) -> dict[str, float]:
    """Share of held-out completions that greedy decoding would give word for word, by kind.

    One pass tells: greedy output equals the right text exactly if each token of it is the most
    likely one after those before it.
    """
    import torch

    out = {}
    for kind in (*PLAIN, *WITH_TOOLS, "repeat"):
        r = Random(f"held out {kind}")
        rows = [
            dialogue_tokens(tokenizer, draw(r, "test", kind, r.random() < 0.5)) for _ in range(each)
        ]
        x, y = padded(rows, tokenizer.pad_token_id)
        x, y = x.to(device), y.to(device)
        with torch.no_grad(), torch.autocast(device, torch.bfloat16):
            hidden = model.model.language_model(input_ids=x, use_cache=False).last_hidden_state
            guess = model.lm_head(hidden[:, :-1]).argmax(-1)
        right = (guess == y[:, 1:]) | (y[:, 1:] == IGNORED)
        out[kind] = right.all(1).float().mean().item()
    return out


class Run:
    """One training run with its checkpoint, log and plot in the size's folder."""

    def __init__(self, of: Size, steps: int | None) -> None:
        import torch

        self.of, self.training = of, of.training
        self.steps = steps or of.training["steps"]
        self.device = "cuda" if torch.cuda.is_available() else "cpu"
        torch.set_float32_matmul_precision("high")  # TF32 where there is a GPU
        if self.device == "cpu":
            fast.install()
        self.tokenizer = vocabulary.load(of)
        self.model = fresh(of, self.tokenizer).to(self.device)
        self.optimizers = optimizers(self.model, self.training)
        self.base_rates = [o.param_groups[0]["lr"] for o in self.optimizers]
        self.progress = Progress()
        self.stopped = False
        if self._file.exists():
            state = torch.load(self._file, map_location=self.device, weights_only=True)
            self.model.load_state_dict(state["model"])
            for optimizer, saved in zip(self.optimizers, state["optimizers"], strict=True):
                optimizer.load_state_dict(saved)
            self.progress = Progress(**state["progress"])
            self.say(f"going on from step {self.progress.step}")

    @property
    def _file(self) -> Path:
        return self.of.folder / "checkpoint.pt"

    def say(self, text: str) -> None:
        print(f"{self.progress.spent_s / 60:6.1f} min  {text}", flush=True)

    def save(self) -> None:
        """The whole state, in one move, so that an interrupted save leaves the last one whole."""
        import torch

        part = self._file.with_suffix(".part")
        state = {
            "model": self.model.state_dict(),
            "optimizers": [o.state_dict() for o in self.optimizers],
            "progress": asdict(self.progress),
        }
        torch.save(state, part)
        part.replace(self._file)

    def step(self, x: Any, y: Any) -> None:
        import torch

        p = self.progress
        begin = time.monotonic()
        share = rate(p.step, self.steps, self.training)
        for optimizer, base in zip(self.optimizers, self.base_rates, strict=True):
            for group in optimizer.param_groups:
                group["lr"] = base * share
        loss = loss_of(self.model, x.to(self.device), y.to(self.device), self.device)
        loss.backward()
        torch.nn.utils.clip_grad_norm_([q for _, q in text_parameters(self.model)], 1.0)
        for optimizer in self.optimizers:
            optimizer.step()
            optimizer.zero_grad()
        value = loss.item()
        p.loss = value if p.loss is None else 0.96 * p.loss + 0.04 * value
        p.step += 1
        p.tokens += x.numel()
        p.spent_s += time.monotonic() - begin

    def log(self, entry: dict[str, Any]) -> None:
        with (self.of.folder / "log.jsonl").open("a") as file:
            file.write(json.dumps({**asdict(self.progress), **entry}) + "\n")

    def check(self) -> None:
        """Save, look at held-out questions, draw the loss."""
        self.save()
        exact = held_out(self.model, self.tokenizer, self.device, self.training["held_out_each"])
        self.log({"held_out": exact})
        self.say("word for word: " + ", ".join(f"{k} {v:.0%}" for k, v in exact.items()))
        loss_plot(self.of.folder)

    def go(self) -> None:
        told = saved = time.monotonic()
        told_tokens = self.progress.tokens
        blocks = Blocks(self.tokenizer, self.training, self.steps, SEED)
        for x, y in stream(blocks, self.progress.step, self.training["workers"]):
            if self.stopped:
                break
            self.step(x, y)
            now = time.monotonic()
            if now - told > _TELL_EVERY_S:
                speed = (self.progress.tokens - told_tokens) / (now - told)
                told, told_tokens = now, self.progress.tokens
                p = self.progress
                self.log({})
                self.say(
                    f"step {p.step} of {self.steps}  {p.tokens / 1e6:.2f} M tokens  "
                    f"loss {p.loss:.3f}  {speed:.0f} tokens/s"
                )
            if now - saved > 60 * self.training["check_minutes"]:
                self.check()
                saved = time.monotonic()
        if self.stopped:
            self.save()
            self.say("stopped; the same command goes on from here")
            return
        self.check()
        trunk = self.of.folder / "trunk"
        self.model.save_pretrained(trunk)
        self.tokenizer.save_pretrained(trunk)
        self.say(f"done: {trunk}")


def main() -> None:
    arguments = parser(__doc__)
    arguments.add_argument("--steps", type=int, help="instead of config.toml's")
    asked = arguments.parse_args()
    of = size(asked.size)
    of.folder.mkdir(parents=True, exist_ok=True)
    run = Run(of, asked.steps)

    def stop(*_: object) -> None:
        run.stopped = True

    signal.signal(signal.SIGINT, stop)
    signal.signal(signal.SIGTERM, stop)
    run.go()


if __name__ == "__main__":
    main()
