"""What can go wrong for a reader, and what to type next.

    KitError                what happened, and the next thing to type
    ├── UnknownName         no such profile, model, GPU or run; names the nearest
    ├── InvalidValue        a value that cannot be: TP 3 for 32 heads, a negative length
    ├── EndpointError       a server that cannot be reached, or refuses
    │   └── StreamCut       a stream that ended before its end; what had arrived is kept
    ├── LaunchError         a server that did not come up
    └── LessonError         a lesson that failed, or was given a parameter it does not have

A `KitError` prints as two lines and never as a traceback: Jupyter asks the
exception itself how it wants to be shown, and the command line prints it.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable

# What a terminal or an editor obeys instead of showing it: control characters, line and paragraph
# separators, marks that turn the direction of writing; and what UTF-8 or YAML does not hold.
UNSHOWABLE = re.compile(
    "[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff\ufeff\ufffe\uffff]"
)
_MANY = 40  # names: more are not listed where `more` says how to see them
LONGEST = 4000  # characters of a line of an error; what a server says may be megabytes


def visible(text: str) -> str:
    """The text on one line, with escapes for what would act on a terminal: "\\x1b[31m"."""
    return UNSHOWABLE.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


class KitError(Exception):
    """Something the reader can mend. `what` happened; `hint` is what to do next."""

    def __init__(self, what: str, hint: str = "") -> None:
        self.what = what
        self.hint = hint
        super().__init__(what, hint)

    def __str__(self) -> str:
        lines = (self.what, f"→ {self.hint}") if self.hint else (self.what,)
        return "\n".join(
            visible(line if len(line) <= LONGEST else f"{line[:LONGEST]} …") for line in lines
        )

    def _render_traceback_(self) -> list[str]:
        """IPython's hook: the two lines instead of a stack."""
        return [
            f"{type(self).__name__}: {line}" if i == 0 else line
            for i, line in enumerate(str(self).splitlines())
        ]


class UnknownName(KitError):
    """A name that is not among `known`. The hint lists the nearest in spelling, or all if few;
    `hint` is given where spelling says nothing."""

    def __init__(
        self, kind: str, name: str, known: Iterable[str], more: str = "", hint: str = ""
    ) -> None:
        names = sorted(known)
        near = difflib.get_close_matches(name.lower(), names, n=3, cutoff=0.5)
        listed = f" {len(names)}" if more and len(names) > _MANY else f": {', '.join(names)}"
        hint = hint or (f"did you mean {' or '.join(near)}?" if near else f"one of{listed}")
        super().__init__(f"no {kind} called {name!r}", f"{hint} {more}".strip())


class InvalidValue(KitError):
    """A value that no server would take."""


def check_name(kind: str, name: str) -> None:
    """Raise InvalidValue for a name that a command, a log or a page cannot hold as it is."""
    if (strange := UNSHOWABLE.search(name)) is not None:
        raise InvalidValue(
            f"the {kind} {name[:80]!r} holds a character that is not shown: {visible(strange[0])}",
            "give it without: no command, log or page holds it as it is",
        )
    if name.startswith("-"):
        raise InvalidValue(
            f"the {kind} {name[:80]!r} would be read as an option", "give one without the dash"
        )


class EndpointError(KitError):
    """A server that cannot be reached, refuses the key, or answers with an error."""


class StreamCut(EndpointError):
    """A stream that broke off. `arrived` is the text that had come, thinking first."""

    def __init__(self, what: str, hint: str, arrived: str = "") -> None:
        super().__init__(what, hint)
        self.arrived = arrived


class LaunchError(KitError):
    """A server that was started and did not come up."""


class LessonError(KitError):
    """A lesson that failed while it ran headlessly."""
