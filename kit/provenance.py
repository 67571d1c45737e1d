"""Where a number comes from, and who wrote a text.

Every figure that this project shows is one of four kinds, and says which:

    computed     from formulas and shapes; nothing ran
    simulated    by the twin or the scheduler in virtual time; no GPU ran
    published    by somebody else, with the source
    measured     here, on a server that ran

and every answer says who wrote it: the course's authors, the pocket model (in
the twin or behind a live server), or another model behind a live server.

In a notebook a source is shown in full once and has a number from then on; see `short`.
"""

from __future__ import annotations

import hashlib
import re
import sys
from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    COMPUTED = "computed"
    SIMULATED = "simulated"
    PUBLISHED = "published"
    MEASURED = "measured"


@dataclass(frozen=True)
class Provenance:
    """The label that a figure carries: its kind, and what stands behind it."""

    kind: Kind
    source: str

    def __post_init__(self) -> None:
        if not self.source:
            raise ValueError("a figure without a source is a rumour: give one")

    def __str__(self) -> str:
        return f"{self.kind} · {self.source}"

    @property
    def short(self) -> str:
        """The label for a notebook: in full and with a number where the source is new, then the
        kind and that number.

        "simulated ¹ · twin of h200x8", then "simulated ¹". The cell that showed it in full does
        so again when it runs again. Outside a notebook it is always in full, without a number.
        """
        return _footnotes.label(self, _running_cell())

    def to_json(self) -> dict[str, str]:
        return {"kind": str(self.kind), "source": self.source}


@dataclass(frozen=True)
class RunningCell:
    """The notebook cell that runs: its id (its code, where the page names no id), and its count."""

    name: str
    count: int


class Footnotes:
    """The sources that a notebook has shown: the number of each, and the cell with the full text.

    The number belongs to the source. Within one run of its cell it is in full once.
    """

    def __init__(self) -> None:
        self._numbers: dict[Provenance, int] = {}
        self._full: dict[Provenance, RunningCell] = {}

    def label(self, provenance: Provenance, cell: RunningCell | None) -> str:
        """The label in `cell`; in full where there is no notebook."""
        if cell is None:
            return str(provenance)
        number = self._numbers.setdefault(provenance, len(self._numbers) + 1)
        marked = f"{provenance.kind} {str(number).translate(_SUPERSCRIPT)}"
        full = self._full.get(provenance)
        if full is not None and (full == cell or full.name != cell.name):
            return marked
        self._full[provenance] = cell
        return f"{marked} · {provenance.source}"


_SUPERSCRIPT = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")
_footnotes = Footnotes()


def _running_cell() -> RunningCell | None:
    """The cell that this code runs in; None outside a notebook, and in a widget's callback."""
    if "IPython" not in sys.modules:
        return None
    from IPython.core.getipython import get_ipython

    shell = get_ipython()
    kernel = getattr(shell, "kernel", None)
    request = kernel.get_parent() if kernel is not None else {}
    code = request.get("content", {}).get("code")
    if shell is None or code is None:
        return None
    return RunningCell(request.get("metadata", {}).get("cellId") or code, shell.execution_count)


def computed(source: str) -> Provenance:
    return Provenance(Kind.COMPUTED, source)


def simulated(source: str) -> Provenance:
    return Provenance(Kind.SIMULATED, source)


def published(source: str) -> Provenance:
    return Provenance(Kind.PUBLISHED, source)


def measured(source: str) -> Provenance:
    return Provenance(Kind.MEASURED, source)


class AuthorKind(StrEnum):
    AUTHORED = "authored"
    POCKET = "pocket"
    MODEL = "model"
    NOTICE = "notice"

    @property
    def mark(self) -> str:
        """How the id of a twin's response begins, in hex: openai's clients hide the headers that
        say who wrote it, and an id comes through all of them."""
        return hashlib.sha256(f"kit: {self}".encode()).hexdigest()[:12]


@dataclass(frozen=True)
class Author:
    """Who wrote an answer. `name` is the model's, where a model wrote it."""

    kind: AuthorKind
    name: str = ""

    def __str__(self) -> str:
        match self.kind:
            case AuthorKind.AUTHORED:
                return "written by the authors of this course; no model ran"
            case AuthorKind.POCKET:
                return (
                    f"written by {self.name}, this course's own small model: not Qwen3.5's quality"
                )
            case AuthorKind.NOTICE:
                return "a notice from the twin; no model ran"
            case AuthorKind.MODEL:
                return f"written by {self.name}"

    @property
    def title(self) -> str:
        """In a few words: "authored reply", "pocket model · 3.2 M", or the model's name."""
        match self.kind:
            case AuthorKind.AUTHORED:
                return "authored reply"
            case AuthorKind.POCKET:
                size = re.search(r"[\d.]+ [KMB](?= parameters)", self.name)
                return f"pocket model · {size[0]}" if size else "pocket model"
            case AuthorKind.NOTICE:
                return "notice from the twin"
            case AuthorKind.MODEL:
                return self.name

    def to_json(self) -> dict[str, str]:
        return {"hand": str(self.kind), "name": self.name, "says": str(self)}
