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
from collections.abc import Iterable


class KitError(Exception):
    """Something the reader can mend. `what` happened; `hint` is what to do next."""

    def __init__(self, what: str, hint: str = "") -> None:
        self.what = what
        self.hint = hint
        super().__init__(what, hint)

    def __str__(self) -> str:
        return f"{self.what}\n→ {self.hint}" if self.hint else self.what

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
        if not hint:
            hint = f"did you mean {' or '.join(near)}?" if near else f"one of: {', '.join(names)}"
        super().__init__(f"no {kind} called {name!r}", f"{hint} {more}".strip())


class InvalidValue(KitError):
    """A value that no server would take."""


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
