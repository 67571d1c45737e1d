"""What holds for every figure: provenance, a table that says the same, letters for a wall."""

import pytest
from test_pocket import SWEEP
from test_views_pocket import CARD
from test_views_sizing import TOO_SMALL, machines

from kit.bench import Workload, predict, simulate
from kit.hardware import profile
from kit.models import model
from kit.sizing import plan
from kit.views import (
    abilities,
    accept_lengths,
    acceptance,
    concurrency,
    draft_steps,
    experts,
    growth,
    ledger,
    ledgers,
    little,
    matrix,
    parts,
    run_figure,
    speedup,
    sweep,
)

H200 = profile("h200x8")
RUN = predict(H200, like="cookbook-throughput")
POINTS = [simulate(H200, Workload(1000, 100, 4 * n, max_concurrency=n)) for n in (1, 4, 16, 32, 48)]
FIGURES = {
    "ledger": ledger(plan(H200)),
    "ledger that does not fit": ledger(plan(TOO_SMALL)),
    "ledger of sixteen": ledger(plan(profile("h100x16"))),
    "ledgers": ledgers(machines()),
    "matrix": matrix("397b", gpus=("h100", "h200", "b200"), precisions=("bf16", "fp8")),
    "parts": parts(model("397b")),
    "parts of a dense model": parts(model("0.8b")),
    "growth": growth(model("397b"), model("235b")),
    "concurrency": concurrency([plan(H200)]),
    "accept_lengths": accept_lengths(),
    "experts": experts(H200),
    "draft_steps": draft_steps(H200),
    "speedup": speedup(H200),
    "acceptance": acceptance(SWEEP),
    "abilities": abilities(CARD),
    "sweep": sweep(POINTS),
    "run": run_figure(RUN),
    "little": little(RUN, cap=48),
}
LARGE = {"run": 40_000, "little": 40_000}  # a thousand requests
EVERY = pytest.mark.parametrize("name", FIGURES)


@EVERY
def test_a_figure_shows_and_carries_its_provenance(name):
    figure = FIGURES[name]
    source = figure.layout.meta["provenance"]
    shown = " ".join(note.text for note in figure.layout.annotations).replace("<br>", " ")
    label = f"{source['kind']} · {source['source']}"
    assert label.replace(" ", "") in shown.replace(" ", "")
    assert figure.table.provenance.to_json() == source


@EVERY
def test_a_figure_is_small_enough_to_be_kept_in_a_notebook(name):
    assert len(FIGURES[name].to_json()) <= LARGE.get(name, 15_000)


@EVERY
def test_a_figure_has_a_title_axes_with_units_and_a_table(name):
    figure = FIGURES[name]
    assert figure.layout.title.text
    assert len(figure.table.sentence) > 40
    assert len(figure.table.markdown.splitlines()) >= 3
    for axis in (figure.layout.xaxis, figure.layout.yaxis):
        named = axis.title.text or axis.ticktext or axis.categoryarray or axis.visible is False
        assert named or axis.type == "category" or name in ("accept_lengths", "run")
    if name.startswith(("ledger", "growth")):
        assert "GiB" in figure.layout.yaxis.title.text


@pytest.mark.parametrize(
    "name", ["accept_lengths", "experts", "draft_steps", "speedup", "abilities"]
)
def test_what_is_along_a_figure_is_named(name):
    assert FIGURES[name].layout.xaxis.title.text


@EVERY
def test_letters_are_large_enough_for_a_wall(name):
    figure = FIGURES[name]
    assert figure.layout.template.layout.font.size >= 16
    assert all((note.font.size or 16) >= 13 for note in figure.layout.annotations)
