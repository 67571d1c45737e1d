"""Paper: a receipt to add up, and a page to read."""

from __future__ import annotations

from kit.course.drawings.canvas import QUIET, Drawing, Page

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
    page = Page(width, height)
    page.text(width / 2, 60, CAFE, 34, anchor="mm")
    page.text(width / 2, 108, DATE, 24, QUIET, "mm")
    y = 170
    for what, count, cents in ITEMS:
        page.text(40, y, f"{count} x {what}", 24, anchor="lm")
        page.text(440, y, _euros(count * cents), 24, anchor="rm")
        y += _LINE_PX
    total = sum(count * cents for _, count, cents in ITEMS)
    page.line(40, y - 8, 440, y - 8, width=2)
    for label, size in (("TOTAL", 34), ("paid by card", 24)):
        y += _LINE_PX
        page.text(40, y, label, size, anchor="lm")
        page.text(440, y, f"EUR {_euros(total)}", size, anchor="rm")
    page.text(width / 2, 580, "Thank you, and come back!", 24, QUIET, "mm")
    data = {what: count * cents / 100 for what, count, cents in ITEMS}
    said = "; ".join(f"{count} {what}" for what, count, _ in ITEMS)
    return Drawing(
        "receipt",
        page.finished(),
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
    page = Page(width, height)
    for i, line in enumerate(lines):
        page.text(56, 56 + 40 * i, line, 27)
    return Drawing("letter", page.finished(), {"text": text}, f"A page of text: {text}")


def _euros(cents: int) -> str:
    return f"{cents / 100:.2f}"
