"""What a docstring says: a description, and a line for each parameter."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable
from dataclasses import dataclass, field

_HEADING = re.compile(r"^(Args|Arguments|Parameters|Returns|Yields|Raises|Examples?|Notes?):\s*$")
_NAMES_PARAMETERS = ("Args", "Arguments", "Parameters")
_ENTRY = re.compile(r"^\*{0,2}(\w+)\s*(?:\([^)]*\))?\s*:\s*(.*)$")
_SPHINX = re.compile(r"^:param\s+(?:[^:]*\s)?(\w+)\s*:\s*(.*)$")


@dataclass(frozen=True)
class Docs:
    """The text before the first section, and what is said of each parameter."""

    description: str = ""
    parameters: dict[str, str] = field(default_factory=dict)


def docs(text: str | None) -> Docs:
    """Reads Google's style (`Args:` and indented lines) and Sphinx's (`:param name: …`)."""
    description: list[str] = []
    parameters: dict[str, list[str]] = {}
    section = ""
    entry_indent = 0  # of the lines that begin a parameter; what is deeper goes on with it
    into = description
    for line in inspect.cleandoc(text or "").splitlines():
        words = line.strip()
        indent = len(line) - len(line.lstrip())
        if heading := _HEADING.match(line):
            section, into, entry_indent = heading[1], [], 0
        elif sphinx := _SPHINX.match(words):
            into = parameters.setdefault(sphinx[1], [sphinx[2]])
        elif words.startswith(":"):  # :returns:, :raises X:
            into = []
        elif section not in _NAMES_PARAMETERS or not words:
            into.append(words)
        else:
            entry_indent = entry_indent or indent
            entry = _ENTRY.match(words) if indent == entry_indent else None
            if entry:
                into = parameters.setdefault(entry[1], [entry[2]])
            else:
                into.append(words)
    return Docs(_text(description), {name: _text(said) for name, said in parameters.items()})


def _text(lines: Iterable[str]) -> str:
    """Lines as paragraphs: a blank line stays, other breaks do not."""
    paragraphs = "\n".join(lines).strip().split("\n\n")
    return "\n\n".join(" ".join(p.split()) for p in paragraphs if p.strip())
