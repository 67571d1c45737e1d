"""Paper: a receipt to add up, and a page to read."""

from __future__ import annotations

from kit.course.drawings.canvas import (
    INK,
    QUIET,
    SHARPER,
    Drawing,
    at,
    finish,
    letters,
    page,
    spot,
)

CAFE = "Harbour Kitchen"
DATE = "2026-03-14  10:42"
ITEMS = (  # what, how many, price of one in cents
    ("Filter coffee", 2, 280),
    ("Cinnamon roll", 3, 345),
    ("Tea, pot", 1, 420),
    ("Rye sandwich", 1, 690),
)
TEXT = """\
The lighthouse keeper's log, 3 November.

Wind from the north-west, strong since noon. Seven ships passed before dark; the last of them, \
a schooner with a torn sail, dipped her flag and went on towards the bay.

I trimmed the lamp twice, at nine and again at half past two. Oil for eleven days is left. The \
boat with the new barrels was promised for Tuesday, and I have learnt not to count on Tuesdays.

The cat has taken to sleeping under the lens, where it is warm."""
RECEIPT_SIZE = (480, 640)
LETTER_SIZE = (704, 800)  # of TEXT; a longer one makes the page longer
_LINE_PX = 46
_WIDEST = 42  # characters of a line of the page


def receipt() -> Drawing:
    """A bill of four lines. Its data: the items, and the total, in euros."""
    width, height = RECEIPT_SIZE
    image, pen = page(width, height)
    small, large = letters(24), letters(34)
    pen.text(spot(width / 2, 60), CAFE, fill=INK, font=large, anchor="mm")
    pen.text(spot(width / 2, 108), DATE, fill=QUIET, font=small, anchor="mm")
    y = 170
    for what, count, cents in ITEMS:
        pen.text(spot(40, y), f"{count} x {what}", fill=INK, font=small, anchor="lm")
        pen.text(spot(440, y), _euros(count * cents), fill=INK, font=small, anchor="rm")
        y += _LINE_PX
    total = sum(count * cents for _, count, cents in ITEMS)
    pen.line(at(40, y - 8, 440, y - 8), fill=INK, width=2 * SHARPER)
    for label, value, font in (("TOTAL", total, large), ("paid by card", total, small)):
        y += _LINE_PX
        pen.text(spot(40, y), label, fill=INK, font=font, anchor="lm")
        pen.text(spot(440, y), f"EUR {_euros(value)}", fill=INK, font=font, anchor="rm")
    pen.text(spot(width / 2, 580), "Thank you, and come back!", fill=QUIET, font=small, anchor="mm")
    data = {what: count * cents / 100 for what, count, cents in ITEMS}
    said = "; ".join(f"{count} {what}" for what, count, _ in ITEMS)
    return Drawing(
        "receipt",
        finish(image),
        {"items": data, "total": total / 100},
        f"Receipt of {CAFE}, {DATE}: {said}; total {_euros(total)} euros.",
    )


def letter(text: str = TEXT) -> Drawing:
    """A page of text. Its data: the text."""
    import textwrap

    lines: list[str] = []
    for paragraph in text.split("\n\n"):
        lines += [*textwrap.wrap(paragraph, _WIDEST), ""]
    width = LETTER_SIZE[0]
    height = max(LETTER_SIZE[1], -(-(100 + 40 * len(lines)) // 32) * 32)
    image, pen = page(width, height)
    for i, line in enumerate(lines):
        pen.text(spot(56, 56 + 40 * i), line, fill=INK, font=letters(27))
    return Drawing("letter", finish(image), {"text": text}, f"A page of text: {text}")


def _euros(cents: int) -> str:
    return f"{cents / 100:.2f}"
