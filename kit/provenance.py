"""Where a number comes from, and who wrote a text.

Every figure that this project shows is one of four kinds, and says which:

    computed     from formulas and shapes; nothing ran
    simulated    by the twin or the scheduler in virtual time; no GPU ran
    published    by somebody else, with the source
    measured     here, on a server that ran

and every answer says who wrote it: the course's authors, the pocket model (in
the twin or behind a live server), or another model behind a live server.
"""

from __future__ import annotations

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

    def to_json(self) -> dict[str, str]:
        return {"kind": str(self.kind), "source": self.source}


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

    def to_json(self) -> dict[str, str]:
        return {"hand": str(self.kind), "name": self.name, "says": str(self)}
