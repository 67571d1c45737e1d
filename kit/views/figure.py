"""A figure, and a table that says the same under a sentence.

A reader who cannot see the figure, or whose page draws none, loses nothing. In a notebook a
provenance is in full where it is new, and short from then on, with the full text behind a click.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import plotly.graph_objects as go

from kit import page
from kit.provenance import Kind, Provenance
from kit.views.frontend import page_script
from kit.views.live import say_that_figures_load
from kit.views.safe_markdown import escape, html_text
from kit.views.theme import CONFIG, FOOT, foot

_LONG = 40  # letters of a cell that needs more than one line


@dataclass(frozen=True)
class FigureTable:
    """A sentence and a table, with their provenance. Shows itself as HTML, Markdown or text.

    `folded` hides the table behind a click: for what a figure above it shows already.
    """

    sentence: str
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    provenance: Provenance
    folded: bool = True

    @property
    def markdown(self) -> str:
        """The table in Markdown; columns of numbers to the right, of words to the left."""
        rule = tuple("---:" if right else "---" for right in self._right())
        return "\n".join("| " + " | ".join(row) + " |" for row in (self.head, rule, *self.rows))

    def _right(self) -> tuple[bool, ...]:
        """Which columns hold numbers."""
        columns = zip(*self.rows, strict=True)
        return tuple(i > 0 and all(map(_is_number, column)) for i, column in enumerate(columns))

    def _repr_mimebundle_(self, **_: Any) -> dict[str, str]:
        label = self.provenance.short
        return {
            "text/plain": f"{self.text(label)}\n\n{self.markdown}",
            "text/html": self.html(label),
            "text/markdown": self.in_markdown(label),
        }

    def in_markdown(self, label: str = "") -> str:
        """The sentence and the table in Markdown; `label` in place of the whole provenance."""
        return escape(f"{self.sentence}\n\n{self.markdown}\n\n*{label or self.provenance}*")

    def html(self, label: str = "") -> str:
        """The sentence, and the table: folded away under it, or open and alone. The kind is in
        sight in either form."""
        styles = [f"text-align:{'right' if right else 'left'}" for right in self._right()]
        if max((len(row[0]) for row in self.rows), default=0) >= _LONG:
            styles[0] += ";min-width:12em"  # else the longer columns leave it a word per line
        body = "".join(_row("td", row, styles) for row in self.rows)
        table = (
            f"<table><thead>{_row('th', self.head, styles)}</thead><tbody>{body}</tbody></table>"
        )
        if not self.folded:
            whence = provenance_html(self.provenance, label)
            return f"<p>{html_text(self.sentence)}</p>{table}{whence}"
        label = label or str(self.provenance)
        whole = "" if " · " in label else f"<p><em>{html_text(str(self.provenance))}</em></p>"
        return (
            f"<p>{html_text(self.sentence)} <em>({html_text(label)})</em></p>"
            f"<details><summary>The same as a table</summary>{table}{whole}</details>"
        )

    def text(self, label: str = "") -> str:
        """The sentence, and where it comes from."""
        return f"{self.sentence} ({label or self.provenance})"

    def __str__(self) -> str:
        return self.text()

    __repr__ = __str__


class Figure(go.Figure):  # type: ignore[misc]  # plotly ships no types
    """A plotly figure that carries its `table`, and shows it under itself."""

    def __init__(
        self, data: Any = None, layout: Any = None, table: FigureTable | None = None
    ) -> None:
        super().__init__(data=data, layout=layout)
        self._table = table

    @property
    def table(self) -> FigureTable | None:
        """The sentence and the table that say what the figure shows."""
        return self._table

    def label_foot(self) -> None:
        """Write under the figure what a notebook shows of its provenance: all, or its number."""
        for note in self.layout.annotations:
            if note.name == FOOT:
                source = self.layout.meta["provenance"]
                provenance = Provenance(Kind(source["kind"]), source["source"])
                note.text = foot(provenance.short)
                note.hovertext = foot(str(provenance))

    def _ipython_display_(self) -> None:
        import plotly.io
        from IPython.display import display

        self.label_foot()
        say_that_figures_load()
        # Of itself plotly takes a page for something else, and sends its library along.
        plotly.io.show(self, "plotly_mimetype" if page.HERE else None, config=CONFIG)
        if self._table is not None:
            display(under_figure(self._table), raw=True)


def under_figure(table: FigureTable) -> dict[str, str]:
    """The table as an output that also brings the page's script."""
    bundle = table._repr_mimebundle_()
    return {**bundle, "text/html": f"{bundle['text/html']}{page_script()}"}


def provenance_html(provenance: Provenance, label: str = "") -> str:
    """The label of a provenance, in full or short; a short one opens at a click."""
    whole = str(provenance)
    if label and " · " not in label:
        return f"<details><summary><em>{label}</em></summary><em>{html_text(whole)}</em></details>"
    return f"<p><em>{html_text(label or whole)}</em></p>"


def _row(tag: str, cells: Sequence[str], styles: Sequence[str]) -> str:
    return (
        "<tr>"
        + "".join(
            f'<{tag} style="{style}">{html_text(cell)}</{tag}>'
            for cell, style in zip(cells, styles, strict=True)
        )
        + "</tr>"
    )


def _is_number(cell: str) -> bool:
    """A number, a share, or the dash or word that stands for none."""
    return cell in ("–", "fits", "tight", "short", "no") or (
        cell.lstrip("~−-")[:1].isdigit() and (not any(c.isalpha() for c in cell))
    )
