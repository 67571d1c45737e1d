"""The answer in a text: the rules that SGLang's scripts and sgl-eval use, and one of the kit's.

    last_integer("He pays $1,234.")        1234    SGLang's GSM8K script: digits alone
    boxed("so \\boxed{36}")                "36"    sgl-eval
    number("**15% of 230 is 34.5.**")      34.5    the kit's: sign and decimals too, a box first
    letter("Answer: (B)", options)         "B"     SGLang's MMMU evaluation

None where there is no answer; that is counted as invalid.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from decimal import Decimal, InvalidOperation

_DIGITS = re.compile(r"\d+", re.ASCII)
_NUMBER = re.compile(r"[-−]?(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?(?![\d.]*\d)", re.ASCII)
_LETTER = re.compile(r"[Aa]nswer\s*:\s*\*?\*?\s*\(?([A-Z])\)?")
_BOX = "\\boxed{"
_LONGEST = 400  # digits: a longer number is no answer


def last_integer(text: str) -> int | None:
    """The last run of digits, commas left out: "34.5" gives 5, "-3" gives 3. A number with a
    leading zero is none, as Python has no such literal."""
    found = _DIGITS.findall(text.replace(",", ""))
    if not found or len(found[-1]) > _LONGEST or re.fullmatch(r"0+[1-9]\d*", found[-1]):
        return None
    return int(found[-1])


def boxed(text: str) -> str | None:
    """What stands in the last `\\boxed{…}`, braces balanced."""
    start = text.rfind(_BOX)
    if start < 0:
        return None
    start += len(_BOX)
    depth = 1
    for at in range(start, len(text)):
        depth += {"{": 1, "}": -1}.get(text[at], 0)
        if depth == 0:
            return text[start:at].strip()
    return None


def number(text: str) -> Decimal | None:
    """The number in the last box, or else the last number of the text."""
    inside = boxed(text)
    found = _NUMBER.findall(text if inside is None else inside)
    if not found or len(found[-1]) > _LONGEST:
        return None
    try:
        return Decimal(found[-1].replace(",", "").replace("−", "-"))
    except InvalidOperation:
        return None


def letter(text: str, options: Sequence[str]) -> str | None:
    """The option that the text ends on: "Answer: X", else a letter in brackets or alone, else an
    option's own words. SGLang's script gives the first option where there is none; here it is
    None, and counted as invalid."""
    letters = [chr(ord("A") + at) for at in range(len(options))]
    named = [found for found in _LETTER.findall(text) if found in letters]
    if named:
        return str(named[-1])
    padded = f" {text.strip(',.!?;:')} "
    for form in ("({})", " {} "):
        places = {one: padded.rfind(form.format(one)) for one in letters}
        if max(places.values(), default=-1) >= 0:
            return max(letters, key=lambda one: places[one])
    if len(text.split()) > 5:
        low = text.lower()
        pairs = zip(letters, options, strict=True)
        places = {one: low.rfind(words.lower()) if words else -1 for one, words in pairs}
        if max(places.values(), default=-1) >= 0:
            return max(letters, key=lambda one: places[one])
    return None
