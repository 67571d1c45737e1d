"""The views of sizing: what is drawn is what was planned, and words say the same."""

import itertools
import json
import math
import re
from dataclasses import replace

import pytest

from kit.errors import InvalidValue, UnknownName
from kit.hardware import Profile, profile
from kit.models import family as sizes
from kit.models import model
from kit.sizing import plan
from kit.views import (
    claims,
    concurrency,
    family,
    growth,
    ledger,
    ledgers,
    matrix,
    on_card,
    parts,
    sliders,
    theme,
)
from kit.views.figures.context_curves import REQUEST_LENGTHS

TOO_SMALL = Profile.of("397b", "bf16", "h100", 8)
ORDERS = (("h100", 8), ("h100", 16), ("h200", 8), ("b200", 8))


def machines():
    return [plan(Profile.of("397b", "bf16", name, count)) for name, count in ORDERS]


@pytest.mark.parametrize("name", ["h200x8", "h100x16", "b200x8"])
def test_a_bar_of_what_fits_ends_at_the_card(name):
    figure, memory = ledger(plan(profile(name))), plan(profile(name))
    for i, rank in enumerate(memory.ranks):
        assert sum(bar.y[i] for bar in figure.data) == pytest.approx(rank.limit_gib, abs=0.06)


def test_a_part_is_drawn_as_high_as_it_is_planned():
    memory = plan(profile("h200x8"))
    drawn = {bar.name: bar.y[0] for bar in ledger(memory).data}
    for label, gib in memory.ranks[0].entries:
        assert drawn[label] == pytest.approx(gib, abs=0.006)


def test_what_does_not_fit_stands_over_the_line_and_says_how_much():
    memory = plan(TOO_SMALL)
    excess = memory.ranks[0].total_gib - memory.ranks[0].limit_gib
    figure = ledger(memory)
    (over,) = [bar for bar in figure.data if bar.name == "over the GPU"]
    assert over.y[0] == pytest.approx(excess, abs=0.01)
    assert over.marker.pattern.shape
    assert f"{excess:.1f} GiB too much" in " ".join(n.text for n in figure.layout.annotations)
    assert f"{excess:.1f} GiB too much" in figure.table.sentence


def test_the_words_of_a_ledger_have_every_entry():
    memory = plan(profile("h200x8"))
    cells = dict(row[:2] for row in ledger(memory).table.rows)
    for label, gib in memory.ranks[0].entries:
        assert cells[label] == f"{gib:.2f}"


def test_labels_of_a_ledger_do_not_cover_each_other():
    figure = ledger(plan(profile("h200x8")))
    places = sorted(note.ay for note in figure.layout.annotations if note.showarrow is not False)
    low, high = figure.layout.yaxis.range
    pixels = figure.layout.height - figure.layout.margin.t - figure.layout.margin.b
    gaps = [(b - a) / (high - low) * pixels for a, b in itertools.pairwise(places)]
    assert len(places) > 5
    assert min(gaps) > 18


def test_machines_side_by_side_say_which_fit():
    figure = ledgers(machines())
    marks = ["✓" in tick for tick in figure.layout.xaxis.ticktext]
    assert marks == [False, True, True, True]  # the cookbook's table: H100 16, H200 8, B200 8


def test_no_machines_are_an_error():
    with pytest.raises(InvalidValue, match="no plans"):
        ledgers([])
    with pytest.raises(InvalidValue, match="no plans"):
        concurrency([])


def test_the_matrix_has_the_cookbooks_least_counts():
    figure = matrix("397b", gpus=("h100", "h200", "b200"), precisions=("bf16",))
    assert {row[0]: row[1] for row in figure.table.rows} == {"H100": "16", "H200": "8", "B200": "8"}


def test_each_cell_of_the_matrix_has_a_mark_of_its_own_level():
    marks = {}
    for block in matrix("397b").data:
        for mark, level in zip(
            itertools.chain(*block.text), itertools.chain(*block.z), strict=True
        ):
            marks.setdefault(level, set()).add(mark)
    assert sorted(marks) == [0, 1, 2, 3]
    assert all(len(found) == 1 for found in marks.values())
    assert len(set.union(*marks.values())) == 4


def test_a_cell_says_why():
    (block,) = matrix("397b", gpus=("h100",), precisions=("nvfp4",)).data
    assert "compute capability" in block.customdata[0][0]
    (block,) = matrix("397b", gpus=("h100",), precisions=("bf16",)).data
    assert "93.9 GiB" in block.customdata[0][3]


def test_the_matrix_offers_no_checkpoint_that_is_not_published():
    for row in matrix("9b", gpus=("h200",), precisions=("bf16", "fp8")).table.rows:
        assert row == ("H200", "1", "–")


def test_the_squares_are_as_many_as_the_parameters():
    (field,) = parts(model("397b")).data
    squares = [level for level in itertools.chain(*field.z) if level is not None]
    assert len(squares) == round(model("397b").total_params / 1e9)
    lettered = [letter for letter in itertools.chain(*field.text) if letter]
    assert len(lettered) == pytest.approx(17, abs=1)  # …-A17B


def test_a_hybrid_starts_dearer_and_ends_cheaper_than_full_attention():
    hybrid, every, old = (line.y for line in growth(model("397b"), model("235b")).data)
    assert hybrid[0] > every[0]
    assert every[-1] / hybrid[-1] == pytest.approx(4, rel=0.05)  # Lambda: approximately 4×
    assert old[-1] > every[-1]


def test_concurrency_is_the_plans_own():
    memory = plan(profile("h200x8"))
    (line,) = concurrency([memory]).data
    for tokens, drawn in zip(REQUEST_LENGTHS, line.y, strict=True):
        wanted = memory.requests_at(tokens) if tokens <= memory.profile.context_tokens else 0
        assert (drawn or 0) == wanted


def test_the_most_that_a_plan_runs_is_in_sight_where_the_cache_is_small():
    asked = replace(profile("h200x8"), radix_cache=False, max_running_requests=128)
    (line,) = concurrency([plan(asked)]).data
    assert line.y[0] == line.y[1] == 128


def test_the_family_has_every_size_with_the_published_counts():
    rows = {row[0]: row for row in family().rows}
    assert len(rows) == len(sizes())
    for name, row in rows.items():
        if named := re.match(r"(\d+)B-A(\d+)B", name):
            assert float(row[1]) == pytest.approx(float(named[1]), abs=1)
            assert float(row[2]) == pytest.approx(float(named[2]), abs=0.6)


def test_claims_of_both_lessons_name_their_source():
    for lesson in ("01", "02"):
        for text, by, tested in claims(lesson).rows:
            assert text
            assert tested
            assert set(by.split(" and ")) <= {"Cookbook", "Lambda"}
    with pytest.raises(UnknownName):
        claims("99")


@pytest.mark.parametrize("name", ["rtx4090", "t4", "h100", "mi300x", "l4"])
def test_a_gpu_gets_a_row_per_size_and_a_way_out(name):
    found = on_card(name)
    assert len(found.rows) == len(sizes())
    for _, _, verdict, _, _, remedy in found.rows:
        assert bool(remedy) == (verdict in ("no", "short"))


def test_no_card_is_an_unknown_name():
    with pytest.raises(UnknownName):
        on_card("h1000")


# Machado, Oliveira and Fernandes 2009: dichromacy, severity 1.0
BLIND = {
    "protan": ((0.152286, 1.052583, -0.204868), (0.114503, 0.786281, 0.099216),
               (-0.003882, -0.048116, 1.051998)),
    "deutan": ((0.367322, 0.860646, -0.227968), (0.280085, 0.672501, 0.047413),
               (-0.011820, 0.042940, 0.968881)),
    "tritan": ((1.255528, -0.076749, -0.178779), (-0.078411, 0.930809, 0.147602),
               (0.004733, 0.691367, 0.303900)),
}  # fmt: skip


def linear(colour):
    parts_ = (int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5))
    return [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts_]


def times(matrix_, vector):
    return [max(sum(a * b for a, b in zip(row, vector, strict=True)), 0) for row in matrix_]


def lab(rgb):
    """CIE L*a*b* of linear sRGB, white D65."""
    to_xyz = ((0.4124564, 0.3575761, 0.1804375), (0.2126729, 0.7151522, 0.0721750),
              (0.0193339, 0.1191920, 0.9503041))  # fmt: skip
    white = (0.95047, 1.0, 1.08883)
    x, y, z = (
        v ** (1 / 3) if v > 0.008856 else 7.787 * v + 16 / 116
        for v in (c / w for c, w in zip(times(to_xyz, rgb), white, strict=True))
    )
    return 116 * y - 16, 500 * (x - y), 200 * (y - z)


@pytest.mark.parametrize("kind", BLIND)
def test_neighbours_in_a_stack_differ_for_a_colour_blind_reader(kind):
    plain = [bar for bar in ledger(plan(profile("h200x8"))).data if not bar.marker.pattern.shape]
    colours = dict.fromkeys(bar.marker.color for bar in plain)
    seen = [lab(times(BLIND[kind], linear(colour))) for colour in colours]
    assert len(seen) >= 6
    for one, other in itertools.pairwise(seen):
        assert math.dist(one, other) > 15


@pytest.mark.parametrize("ink", [theme.INK, theme.QUIET, theme.DEEP_RED])
def test_ink_can_be_read_on_the_paper(ink):
    def luminance(colour):
        return sum(w * c for w, c in zip((0.2126, 0.7152, 0.0722), linear(colour), strict=True))

    assert (luminance(theme.PAPER) + 0.05) / (luminance(ink) + 0.05) >= 4.5  # WCAG AA


def test_every_control_has_a_label():
    import ipywidgets

    box = sliders(profile("h200x8")).controls()
    controls = [child for column in box.children for child in column.children]
    assert len(controls) == 7
    assert all(isinstance(control, ipywidgets.DOMWidget) for control in controls)
    assert all(control.description for control in controls)


def test_moving_a_control_plans_anew():
    knobs = sliders(profile("h200x8"))
    before = knobs.plan
    by_label = {c.description: c for column in knobs.controls().children for c in column.children}
    by_label["GDN state dtype"].value = "bfloat16"
    assert knobs.plan == plan(replace(profile("h200x8"), ssm_dtype="bfloat16"))
    by_label["MTP"].value = False
    assert knobs.plan.profile.mtp is None
    assert knobs.plan != before


def test_the_drawing_says_what_is_wanted_and_what_is_held():
    knobs = sliders(profile("h200x8"))
    knobs.set(requests=64)
    html = knobs.bundle()["text/html"]
    assert f"64 wanted, {knobs.plan.max_running_requests} held" in html
    assert "✗" in html
    assert str(knobs.plan.provenance) in html
    assert len(html) < 15_000


def test_a_change_that_no_server_takes_says_so_and_keeps_the_last_plan():
    knobs = sliders(profile("h200x8"))
    before = knobs.plan
    knobs.set(mem_fraction_static=1.5)
    assert knobs.plan is before
    assert "→" in knobs.bundle()["text/html"]
    knobs.set(mem_fraction_static=0.8)
    assert knobs.problem is None


def test_headless_the_sliders_leave_a_drawing_and_no_widget():
    nbformat = pytest.importorskip("nbformat")
    from nbclient import NotebookClient

    source = (
        "from kit.hardware import profile\nfrom kit.views import sliders\n"
        "sliders(profile('h200x8'))"
    )
    node = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source)])
    NotebookClient(node, kernel_name="python3", timeout=60).execute()
    assert "widgets" not in node.metadata
    (output,) = node.cells[0].outputs
    assert "<svg" in output.data["text/html"]
    assert "application/vnd.jupyter.widget-view+json" not in json.dumps(node)
