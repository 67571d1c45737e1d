"""A prediction that is the learner's: a field for each question; later guess and result together.

    guess = kit.guess("TTFT of one request, in ms", "output, in tokens/s")
    …
    guess.beside(ttft_ms, tokens_per_s, provenance=report.provenance)

A field may stay blank. Where nobody can be asked (papermill, nbval) all do.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from functools import partial
from typing import Any

from kit.errors import InvalidValue
from kit.provenance import Provenance, published
from kit.views.figure import FigureTable
from kit.views.frontend import has_reader, widget_bundle
from kit.views.live import Bundle, Output

BLANK = "not yet"
UNREADABLE = "I cannot read this as a number"
_CLOSE, _SPOT_ON = 1.25, 1.02  # factors between a guess and its result
_SCALES = {"k": 1e3, "thousand": 1e3, "m": 1e6, "million": 1e6, "b": 1e9, "billion": 1e9}
_STYLE = """<style>
.kit-guess .widget-text .widget-label {white-space: normal; height: auto;
  max-width: 100%; text-align: left; line-height: 1.4}
.kit-guess .widget-text {height: auto}
.kit-guess .widget-text input {min-width: 9em}
</style>"""
_NUMBER = re.compile(
    r"(?:about|around|ca\.?|~|≈)?\s*(?P<value>[+-]?[\d.,_\u00a0\u202f' ]*\d\.?(?:e[+-]?\d+)?)"
    r"(?:\s*/\s*(?P<divisor>\d+(?:\.\d+)?))?\s*(?P<unit>[^\d\s].*)?",
    re.ASCII | re.IGNORECASE,
)


class Guess:
    """Questions, and what the learner typed for each; blank until then."""

    def __init__(self, questions: Sequence[str]) -> None:
        if not questions:
            raise InvalidValue("no question to guess at", 'give one: kit.guess("TTFT, in ms")')
        self.questions = tuple(questions)
        self.texts = [""] * len(self.questions)
        self._tables: list[GuessTable] = []

    @property
    def numbers(self) -> tuple[float | None, ...]:
        """The guesses; None for what is blank or cannot be read."""
        return tuple(map(read_number, self.texts, self.questions))

    def write(self, index: int, text: str) -> None:
        """Put `text` into a field; tables that show it follow."""
        self.texts[index] = text
        for table in self._tables:
            table.redraw()

    def beside(
        self,
        *results: float | str | None,
        provenance: Provenance,
        published: float | str | Sequence[float | str | None] | None = None,
        source: str | Provenance = "",
    ) -> GuessTable:
        """A table of each question: the guess, the result, and what was published of it.

        A result is a number, or a text that begins with one ("4.4 %"). `source` is where the
        published figures stand. Raises InvalidValue for more or fewer figures than questions, and
        for published ones without a source.
        """
        theirs = (published,) if isinstance(published, int | float | str) else published
        for figures in (results, theirs):
            if figures is not None and len(figures) != len(self.questions):
                raise InvalidValue(
                    f"{len(figures)} figures for {len(self.questions)} questions",
                    "give one for each, None where there is none",
                )
        if theirs is not None and not source:
            raise InvalidValue("published figures without a source", 'give it: source="…"')
        table = GuessTable(self, results, tuple(theirs or ()), provenance, source)
        self._tables.append(table)
        return table

    def fields(self) -> Any:
        """The widget: a field for each question, under its label."""
        import ipywidgets as w

        fields = []
        for index, question in enumerate(self.questions):
            field = w.Text(
                value=self.texts[index],
                description=question,
                placeholder=BLANK,
                style={"description_width": "initial"},
                layout={"width": "min(100%, 40em)", "flex_flow": "row wrap"},
            )
            field.observe(partial(self._typed, index), names="value")
            fields.append(field)
        style = w.HTML(_STYLE, layout={"display": "none"})
        return w.VBox([*fields, style]).add_class("kit-guess")

    def _typed(self, index: int, change: dict[str, Any]) -> None:
        self.write(index, change["new"])

    def __str__(self) -> str:
        said = (text.strip() or BLANK for text in self.texts)
        return "; ".join(
            f"{question}: {text}" for question, text in zip(self.questions, said, strict=True)
        )

    def __repr__(self) -> str:
        return f"Your guess: {self}"


class GuessTable:
    """Guesses beside their results. Shows itself; what is typed later appears in it."""

    def __init__(
        self,
        guess: Guess,
        results: Sequence[float | str | None],
        theirs: Sequence[float | str | None],
        provenance: Provenance,
        source: str | Provenance,
    ) -> None:
        self.guess = guess
        self._results, self._theirs = results, theirs
        stated = published(source) if isinstance(source, str) and theirs else source
        self._provenances = [provenance, *([stated] if isinstance(stated, Provenance) else [])]
        self._output: Output | None = None
        self._labels: list[str] = []

    def table(self) -> FigureTable:
        """As it stands now, its provenance in full."""
        guess = self.guess
        said = [text.strip() or BLANK for text in guess.texts]
        judged = [*map(verdict, guess.texts, self._results, guess.questions)]
        columns = {
            "question": guess.questions,
            "your guess": said,
            "result": [*map(_shown, self._results)],
            **({"published": [*map(_shown, self._theirs)]} if self._theirs else {}),
            **({"your guess was": judged} if any(judged) else {}),
        }
        first, *others = self._provenances
        source = "; ".join([first.source, *map(str, others)])
        return FigureTable(
            "Your guess, and the result.",
            tuple(columns),
            tuple(zip(*columns.values(), strict=True)),
            Provenance(first.kind, source),
            folded=False,
        )

    def bundle(self) -> Bundle:
        """HTML, Markdown and text; the provenance short where the notebook has shown it."""
        table, label = self.table(), " — ".join(self._labels)
        plain = "\n".join("  ".join(filter(None, row)) for row in table.rows)
        return {
            "text/html": table.html(label),
            "text/markdown": table.in_markdown(label),
            "text/plain": f"{plain}\n({label or table.provenance})",
        }

    def redraw(self) -> None:
        """The table anew, where it is shown."""
        if self._output is not None:
            self._output.show(self.bundle())

    def _ipython_display_(self) -> None:
        self._labels = [each.short for each in self._provenances]
        self._output = Output()
        self.redraw()

    def __repr__(self) -> str:
        return str(self.bundle()["text/plain"])


def guess(*questions: str) -> Guess:
    """Ask for a prediction: a field for each question, with its unit in it ("TTFT, in ms").

    A field may stay blank: what reads it then says "not yet". Raises InvalidValue without a
    question.
    """
    made = Guess(questions)
    from IPython.core.getipython import get_ipython
    from IPython.display import display

    if get_ipython() is not None:
        bundle = {"text/plain": repr(made)}
        if has_reader():
            bundle = widget_bundle(made.fields(), repr(made))
        display(bundle, raw=True)
    return made


def read_number(text: str, question: str = "") -> float | None:
    """The number that a learner typed, or None: "1,000", "1k", "~ 50 %", "1/16", "190 ms".

    A unit is read where the question names it too. Percent of a question without % is a share,
    and so is a number over 1 where a share is asked for.
    """
    found = _NUMBER.fullmatch(text.strip())
    if found is None:
        return None
    value = _plain(found["value"])
    scale = _scale((found["unit"] or "").strip().rstrip("."), question)
    divisor = float(found["divisor"] or 1)
    if value is None or scale is None or not divisor:
        return None
    number = value * scale / divisor
    if number > 1 and not found["unit"] and "share" in question:
        number /= 100  # a share is at most 1: this is meant in percent
    return number if math.isfinite(number) else None


def verdict(text: str, result: float | str | None, question: str = "") -> str:
    """How far a guess is from the result, in a word or a factor; empty where there is none."""
    if not text.strip() or result is None:
        return ""
    number = read_number(text, question)
    if number is None:
        return UNREADABLE
    right = read_number(result, question) if isinstance(result, str) else float(result)
    if right is None:
        return ""
    if number == right:
        return "spot on"
    side = "high" if number > right else "low"
    if number * right <= 0:
        return f"too {side}"
    factor = max(number / right, right / number)
    if factor <= _SPOT_ON:
        return "spot on"
    if factor <= _CLOSE:
        return f"close, a little {side}"
    return f"{factor:,.1f} times too {side}" if factor < 10 else f"{factor:,.0f} times too {side}"


def _plain(text: str) -> float | None:
    """Digits with signs between them as a number; a lone comma before three digits groups them."""
    text = re.sub(r"(?<=\d)[_\u00a0\u202f' ](?=\d{3})", "", text.strip())
    if re.fullmatch(r"[+-]?\d{1,3}(\.\d{3}){2,}", text) or (
        "," in text and "." in text[: text.rfind(",")]
    ):  # 1.000.000,5
        text = text.replace(".", "").replace(",", ".")
    elif re.fullmatch(r"[+-]?[1-9]\d{0,2}(,\d{3})+(\..*)?", text):
        text = text.replace(",", "")
    elif text.count(",") == 1:
        text = text.replace(",", ".")
    try:
        return float(text) if re.fullmatch(r"[-+\d.eE]+", text, re.ASCII) else None
    except ValueError:
        return None


def _scale(unit: str, question: str) -> float | None:
    """What a number is to be multiplied by for the unit behind it; None for one not asked for."""
    asked = re.findall(r"%|[^\W\d]+(?:/[^\W\d]+)?", question.casefold())
    word, _, rest = unit.casefold().partition(" ")
    if not word or word in ("x", "×", "times") or word in asked or word.rstrip("s") in asked:
        return 1.0
    if word in ("%", "percent"):
        return 1.0 if {"%", "percent"} & set(asked) else 0.01
    if word not in _SCALES or (rest and _scale(rest, question) is None):
        return None
    counted_in = {"b": "billions", "m": "millions"}.get(word[0], "")
    return 1.0 if counted_in in asked else _SCALES[word]


def _shown(value: float | str | None) -> str:
    if value is None:
        return "–"
    if isinstance(value, str):
        return value
    if isinstance(value, int) or value == int(value) or abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:,.3g}"
