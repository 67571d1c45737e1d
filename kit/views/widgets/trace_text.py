"""A tool trace as a saved notebook keeps it: a table, the thinking folded away, the answer."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from kit.views.widgets.trace_rows import TraceRow
from kit.views.widgets.transcript import escape

if TYPE_CHECKING:
    from kit.views.widgets.trace import Trace

_CELL_CHARS = 160
_NAMES = {
    "thinking": "thinks",
    "call": "calls",
    "tool": "result",
    "said": "says",
    "answer": "answers",
    "limit": "stops",
}
_SIGN = re.compile(r"[^\w ,.;()'\"%°+=?!→…-]|_")
"""What Markdown or HTML could take for more than itself inside a table's cell."""


def bundle(trace: Trace) -> dict[str, str]:
    """The MIME bundle: text/markdown and text/plain."""
    return {"text/markdown": _markdown(trace), "text/plain": _plain(trace)}


def _markdown(trace: Trace) -> str:
    timed = trace.rows.timed
    head = "| at (s) | took (s) | | |\n|---:|---:|---|---|" if timed else "| | |\n|---|---|"
    lines = []
    for row in trace.rows.rows:
        code = row.kind in ("call", "tool")
        what = _SIGN.sub(lambda sign: f"&#{ord(sign[0])};", _cell(row))
        what = f"<code>{what}</code>" if code else what
        times = f"| {row.start_s:.2f} | {row.took_s or 0:.2f} " if timed else ""
        lines.append(f"{times}| {_name(row)} | {what} |")
    parts = [f"**Tool trace** · {escape(_one_line(trace.question))}"]
    if lines:
        parts.append("\n".join([head, *lines]))
    if thoughts := [row.text.strip() for row in trace.rows.rows if row.kind == "thinking"]:
        quoted = "\n".join(f"> {line}" for line in escape("\n\n".join(thoughts)).splitlines())
        parts.append(f"<details><summary>Thinking</summary>\n\n{quoted}\n\n</details>")
    parts += [escape(answer) for answer in _answers(trace)]
    if trace.error:
        parts.append(escape(f"**{trace.error.what}**  \n→ {trace.error.hint}"))
    figures = f"{trace.figures} · ended: {trace.ended}"
    parts.append(f"{escape(figures)}  \n*{escape(trace.footing)}*")
    return "\n\n".join(parts)


def _plain(trace: Trace) -> str:
    lines = [f"Tool trace · {_one_line(trace.question)}"]
    for row in trace.rows.rows:
        at = f"{row.start_s:7.2f} s  {row.took_s or 0:6.2f} s  " if trace.rows.timed else ""
        lines.append(f"{at}{_name(row):<8} {_cell(row)}")
    lines += _answers(trace)
    if trace.error:
        lines.append(str(trace.error))
    lines.append(f"{trace.figures} · ended: {trace.ended}\n{trace.footing}")
    return "\n".join(lines)


def _answers(trace: Trace) -> list[str]:
    """The answers of the last turn, whole; the table has a line of each."""
    answers = (row for row in trace.rows.rows if row.kind == "answer")
    return [row.text.strip() for row in answers if row.step == trace.rows.steps]


def _name(row: TraceRow) -> str:
    return row.problem or _NAMES.get(row.kind, "")


def _cell(row: TraceRow) -> str:
    match row.kind:
        case "call":
            return _one_line(f"{row.title}({row.text})")
        case "tool":
            return _one_line(f"{row.title} → {row.text}")
        case "limit":
            return row.title
    return _one_line(row.text)


def _one_line(text: str) -> str:
    line = " ".join(text[: 4 * _CELL_CHARS].split())
    return line if len(line) <= _CELL_CHARS else line[: _CELL_CHARS - 1] + "…"
