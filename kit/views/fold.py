"""What is long and not read by everybody, behind a click.

kit.fold("The whole table", report.table())
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from kit.views.safe_markdown import html_text


@dataclass(frozen=True)
class Fold:
    """A title, and what opens under it: text, or anything that shows itself."""

    title: str
    content: Any

    def _repr_mimebundle_(self, **_: Any) -> dict[str, str]:
        bundle = _bundle(self.content)
        summary = f"<summary>{html_text(self.title)}</summary>"
        shown = {"text/plain": f"{self.title}\n{bundle['text/plain']}"}
        for kind, gap in (("text/html", ""), ("text/markdown", "\n\n")):
            if kind in bundle:
                shown[kind] = f"<details>{summary}{gap}{bundle[kind]}{gap}</details>"
        return shown

    def __str__(self) -> str:
        return self._repr_mimebundle_()["text/plain"]

    __repr__ = __str__


def fold(title: str, content: Any) -> Fold:
    """`content` behind a click on `title`: for a printout of more than a dozen lines."""
    return Fold(title, content)


def _bundle(content: Any) -> dict[str, str]:
    """`content` as text, and as HTML or Markdown where it has one."""
    if hasattr(content, "_repr_mimebundle_"):
        return dict(content._repr_mimebundle_())
    bundle = {"text/plain": str(content)}
    for kind in ("html", "markdown"):
        if hasattr(content, f"_repr_{kind}_"):
            return {**bundle, f"text/{kind}": getattr(content, f"_repr_{kind}_")()}
    return {**bundle, "text/html": f"<pre>{html_text(str(content))}</pre>"}
