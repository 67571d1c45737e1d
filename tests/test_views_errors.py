"""What a reader can mend is two lines in a view, never a traceback."""

from collections.abc import Callable

import pytest

from kit import pocket, views
from kit.bench import predict
from kit.errors import KitError
from kit.hardware import profile
from kit.sizing import plan

MACHINE = profile("h200x8")
LATENCY = predict(MACHINE, like="cookbook-latency")
MISTAKES: dict[str, Callable[[], object]] = {
    "no plans side by side": lambda: views.ledgers([]),
    "no plans over the context": lambda: views.concurrency([]),
    "more names than plans": lambda: views.concurrency([plan(MACHINE)], ["one", "two"]),
    "no answers": lambda: views.timeline([]),
    "no reports": lambda: views.compare_reports(),
    "no runs": lambda: views.sweep([]),
    "a latency there is not": lambda: views.sweep(
        [predict("h200x8", like="cookbook-latency")] * 2, "itl"
    ),
    "a part there is not": lambda: views.acceptance(pocket.sweep(), {"thoughts": 3.0}),
    "a slider there is not": lambda: views.sliders(MACHINE).set(fraction=0.8),
    "a model without experts": lambda: views.experts(profile("9b-bf16-h100x1")),
    "a GPU there is not": lambda: views.matrix("397b", gpus=("h1000",)),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_an_error_with_what_to_do_next(mistake):
    with pytest.raises(KitError) as caught:
        MISTAKES[mistake]()
    what, hint = str(caught.value).split("\n→ ")
    assert what
    assert hint


def test_many_lines_are_drawn_although_colours_are_few():
    assert len(views.draft_steps(MACHINE, requests=range(1, 12)).data) == 11
