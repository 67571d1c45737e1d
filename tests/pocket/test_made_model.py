"""A very small model made from end to end: trained, interrupted, exported, in two engines."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from random import Random

import pytest
import torch

from kit.twin.chat_format import render
from pocket import config, export, mtp, tokenizer
from pocket.batches import IGNORED, Blocks, dialogue_tokens, stream
from pocket.config import Size, size
from pocket.data.session import PLAIN, WITH_TOOLS, draw
from pocket.engines import LlamaCpp, Transformers
from pocket.model import fresh
from pocket.train import Run

KINDS = (*PLAIN, *WITH_TOOLS, "repeat")
STEPS = 6


def tiny(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Size:
    """A few hundred thousand parameters, with heads grouped as in a large one."""
    monkeypatch.setattr(config, "WORK", folder)
    small = size("small")
    shape = {"hidden_size": 64, "intermediate_size": 96, "head_dim": 32}
    shape |= {"linear_key_head_dim": 32, "linear_value_head_dim": 32}
    training = {"steps": STEPS, "mtp_steps": 2, "tokens_per_step": 512, "held_out_each": 2}
    of = replace(
        small,
        model={**small.model, **shape},
        training={**small.training, **training},
        vocabulary={**small.vocabulary, "size": 700, "samples": 300},
    )
    of.folder.mkdir(parents=True)
    return of


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Size, Path]:
    """The size, and the folder that it was exported to."""
    with pytest.MonkeyPatch.context() as patch:
        of = tiny(tmp_path_factory.mktemp("pocket"), patch)
        tokenizer.make(of).save_pretrained(tokenizer.folder(of))
        Run(of, None).go()
        model, layer = mtp.train(of, of.training["mtp_steps"])
        right = mtp.chances(model, layer, tokenizer.load(of), each=2)
        (of.folder / "mtp.json").write_text(json.dumps(right))
        torch.save(layer.state_dict(), of.folder / "mtp.pt")
        folder = of.folder / "export"
        export.export(of, folder)
    return of, folder


def test_an_interrupted_run_goes_on_as_if_it_had_not_been(
    made: tuple[Size, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = made[1]
    again = tiny(tmp_path, monkeypatch)
    tokenizer.make(again).save_pretrained(tokenizer.folder(again))
    first = Run(again, None)
    monkeypatch.setattr(first, "log", lambda _: setattr(first, "stopped", True))
    monkeypatch.setattr("pocket.train._TELL_EVERY_S", 0)  # it logs after its first step
    first.go()
    assert first.progress.step == 1
    monkeypatch.undo()
    monkeypatch.setattr(config, "WORK", tmp_path)
    Run(again, None).go()
    one, two = (
        torch.load(path / "checkpoint.pt", weights_only=True)["model"]
        for path in (folder.parent, again.folder)
    )
    for name, value in one.items():
        torch.testing.assert_close(value, two[name], msg=name)


def test_workers_prepare_the_same_batches(made: tuple[Size, Path]) -> None:
    of, folder = made
    blocks = Blocks(Transformers(folder).tokenizer, of.training, 20, 1)
    alone, helped = (list(stream(blocks, 5, workers)) for workers in (0, 2))
    assert len(alone) == len(helped) == 15
    for (x, y), (other_x, other_y) in zip(alone, helped, strict=True):
        assert torch.equal(x, other_x)
        assert torch.equal(y, other_y)


def test_loss_and_held_out_answers_are_logged_and_drawn(made: tuple[Size, Path]) -> None:
    folder = made[1].parent
    last = json.loads((folder / "log.jsonl").read_text().splitlines()[-1])
    assert last["step"] == STEPS
    assert set(last["held_out"]) == set(KINDS)
    assert (folder / "loss.png").stat().st_size > 1000


def test_only_completions_are_learnt(made: tuple[Size, Path]) -> None:
    words = Transformers(made[1]).tokenizer
    dialogue = draw(Random(1), "train", "call", True)
    ids, labels = dialogue_tokens(words, dialogue)
    learnt = [token for token in labels if token != IGNORED]
    assert words.decode(learnt, skip_special_tokens=False) == dialogue.completion
    assert words.decode(ids, skip_special_tokens=False) == dialogue.prompt + dialogue.completion


def test_the_jinja_template_gives_the_twins_prompts(made: tuple[Size, Path]) -> None:
    words = Transformers(made[1]).tokenizer
    for i in range(60):
        dialogue = draw(Random(i), "train", KINDS[i % len(KINDS)], i % 2 == 0)
        messages = [dict(message) for message in dialogue.messages]
        if i % 3 == 0:
            messages.insert(0, {"role": "system", "content": "Be brief."})
        text = words.apply_chat_template(
            messages,
            tools=list(dialogue.tools) or None,
            tokenize=False,
            add_generation_prompt=True,
            enable_thinking=dialogue.thinking,
        )
        assert text == render(messages, dialogue.tools, dialogue.thinking)


def test_llama_cpp_and_transformers_write_the_same(made: tuple[Size, Path]) -> None:
    _, folder = made
    about = json.loads((folder / "pocket.json").read_text())
    reference = Transformers(folder)
    llama = LlamaCpp(folder / about["gguf"], about["context_tokens"])
    for i, kind in enumerate(KINDS):
        prompt = draw(Random(i), "test", kind, i % 2 == 0).prompt
        assert llama.complete(prompt, 24) == reference.complete(prompt, 24)


def test_transformers_counts_the_parameters_as_the_export_says(made: tuple[Size, Path]) -> None:
    _, folder = made
    about = json.loads((folder / "pocket.json").read_text())
    model = Transformers(folder).model
    text = sum(p.numel() for n, p in model.named_parameters() if "visual" not in n)
    assert about["parameters"] == text


def test_each_of_three_drafts_has_its_chance(made: tuple[Size, Path]) -> None:
    chances = json.loads((made[1].parent / "mtp.json").read_text())
    assert set(chances) == {*PLAIN, *WITH_TOOLS}
    assert all(len(each) == mtp.DRAFTS for each in chances.values())
    assert all(0 <= chance <= 1 for each in chances.values() for chance in each)


def test_a_published_folder_is_sealed_and_small(made: tuple[Size, Path], tmp_path: Path) -> None:
    export.publish(made[1], tmp_path / "weights")
    sums = (tmp_path / "weights" / "SHA256SUMS").read_text().split()
    assert set(sums[1::2]) == {p.name for p in made[1].iterdir()}
    with pytest.raises(SystemExit, match="MB"):
        export.publish(made[1], tmp_path / "other", limit_mb=0.1)


@pytest.mark.parametrize("name", ["small", "full"])
def test_both_forms_of_the_weights_fit_into_the_repository(
    made: tuple[Size, Path], name: str
) -> None:
    of = size(name)
    model = fresh(of, Transformers(made[1]).tokenizer)
    parameters = sum(p.numel() for p in model.parameters())
    mtp_parameters = sum(p.numel() for p in mtp.MtpLayer(model.config.text_config).parameters())
    assert 2 * 2 * (parameters + mtp_parameters) / 1e6 < export.LIMIT_MB - 0.5
    layers = model.config.text_config.layer_types
    assert layers == (["linear_attention"] * 3 + ["full_attention"]) * (len(layers) // 4)


def test_heads_of_a_fresh_model_remember(made: tuple[Size, Path]) -> None:
    """As transformers starts them, most keep nothing from one token to the next."""
    model = fresh(made[0], Transformers(made[1]).tokenizer)
    mixers = [m for m in model.modules() if hasattr(m, "A_log")]
    assert len(mixers) == 3
    for mixer in mixers:
        keeps = torch.exp(-mixer.A_log.exp() * torch.nn.functional.softplus(mixer.dt_bias))
        assert keeps.min() > 0.5
        assert keeps.max() > 0.998
