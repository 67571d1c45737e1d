"""Questions about the kit's own drawings, whose facts are known; no benchmark of anybody's."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator

from kit.course import drawings
from kit.course.drawings import Drawing
from kit.evals import Problem, ProblemSet

NAME = "drawn-images"


def drawn_images() -> ProblemSet:
    """One problem per fact: counts, sums and highest bars. Needs a model that sees."""
    return ProblemSet(
        NAME,
        tuple(_problems()),
        f"drawn by kit {NAME}",
        "Apache-2.0",
        notes=("the kit's own drawings: not MMMU, not to be compared with its scores",),
    )


def _problems() -> Iterator[Problem]:
    for circles in (2, 3, 4):
        ask = "How many circles are in the picture? Answer with a number."
        yield _problem(f"circles-{circles}", ask, str(circles), drawings.geometry(circles=circles))
    receipt = drawings.receipt()
    total = f"{receipt.data['total']:.2f}"
    yield _problem("receipt-total", "What is the total of this bill in euros?", total, receipt)
    for what, euros in receipt.data["items"].items():
        ask = f"What does the line {what!r} of this bill cost in euros?"
        yield _problem(f"receipt-{what}", ask, f"{euros:.2f}", receipt)


def _problem(name: str, ask: str, answer: str, drawing: Drawing) -> Problem:
    out = io.BytesIO()
    drawing.picture.save(out, "PNG")
    url = f"data:image/png;base64,{base64.b64encode(out.getvalue()).decode()}"
    return Problem(name, ask, answer, "number", group=drawing.name, images=(url,))
