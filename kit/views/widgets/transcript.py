"""An answer as a saved notebook keeps it: plain Markdown, readable anywhere, safe everywhere."""

from __future__ import annotations

import re
from collections.abc import Sequence

from kit.errors import KitError
from kit.views.reply import Reply

_FENCE = re.compile(r"^[\s>]*(`{3,}(?=[^`]*$)|~{3,})")
_CODE_OR_MATH = re.compile(r"(?<!\\)(`+)(?!`).+?(?<!`)\1(?!`)|(?<![\\$])\$[^$]+\$")
_RISKY = re.compile(r"<(?=[A-Za-z/!?])|!\[|\]\((?!https?://)|\]:")
"""What could begin a tag, an image, a link that leads elsewhere than to the web, its definition."""
_ENTITY = re.compile(r"&(?=#?\w+;)")


def bundle(replies: Sequence[tuple[str, Reply, KitError | None]]) -> dict[str, str]:
    """The MIME bundle of answers, each with a title: text/markdown and text/plain."""
    return {
        "text/markdown": "\n\n---\n\n".join(_markdown(*each) for each in replies),
        "text/plain": "\n\n".join(_plain(*each) for each in replies),
    }


def _markdown(title: str, reply: Reply, error: KitError | None) -> str:
    parts = [f"**{escape(title)}** · {escape(_one_line(reply.prompt))}"]
    if reply.thinking.strip():
        quoted = "\n".join(f"> {line}" for line in escape(reply.thinking.strip()).splitlines())
        parts.append(f"<details><summary>Thinking</summary>\n\n{quoted}\n\n</details>")
    if reply.answer.strip():
        parts.append(escape(reply.answer.strip()))
    parts += [escape(f"calls `{call.name}({call.arguments})`") for call in reply.tool_calls]
    if reply.remark:
        parts.append(escape(reply.remark))
    if error:
        parts.append(escape(f"**{error.what}**  \n→ {error.hint}"))
    parts.append(f"{escape(figures(reply))}  \n*{escape(footing(reply))}*")
    return "\n\n".join(parts)


def _plain(title: str, reply: Reply, error: KitError | None) -> str:
    parts = [f"{title} · {_one_line(reply.prompt)}"]
    if reply.thinking.strip():
        parts.append(f"[thinking]\n{reply.thinking.strip()}\n[/thinking]")
    if reply.answer.strip():
        parts.append(reply.answer.strip())
    parts += [f"calls {call.name}({call.arguments})" for call in reply.tool_calls]
    if reply.remark:
        parts.append(reply.remark)
    if error:
        parts.append(str(error))
    parts.append(f"{figures(reply)}\n{footing(reply)}")
    return "\n\n".join(parts)


def figures(reply: Reply) -> str:
    """The counts and times in a line, those that are known."""
    about = "" if reply.exact else "≈ "
    parts = []
    if reply.ttft_ms is not None:
        parts.append(f"TTFT {reply.ttft_ms:,.0f} ms")
    if reply.tokens_per_s is not None:
        parts.append(f"{reply.tokens_per_s:,.0f} tokens/s")
    if reply.thinking_tokens:
        parts.append(f"{about}{reply.thinking_tokens:,} thinking tokens")
    parts.append(f"{about}{reply.answer_tokens or 0:,} answer tokens")
    parts.append(f"finish: {reply.finish_reason or 'none'}")
    return " · ".join(parts)


def footing(reply: Reply) -> str:
    """What the figures are worth, and who wrote the text."""
    return f"{reply.provenance} — {reply.author or 'nobody answered'}"


def escape(text: str) -> str:
    """Markdown in which HTML is text, no image is fetched, and links lead to the web or nowhere.

    JupyterLab does not sanitise the outputs of a notebook that its reader trusts, so this holds
    by construction: whatever a Markdown parser takes for code, no `<` that could open a tag is
    left but our own, because code that has one is written as HTML. A code fence that was cut off
    is closed, so that it cannot swallow what follows.
    """
    out: list[str] = []
    block: list[str] = []  # the lines of an open code fence, its first included
    mark = ""
    for line in text.splitlines():
        fence = _FENCE.match(line)
        if mark:
            if fence and fence[1].startswith(mark) and not line.strip(" >`~"):
                out += _code_block([*block, line])
                mark = ""
            else:
                block.append(line)
        elif fence:
            mark, block = fence[1], [line]
        else:
            out.append(_escape_line(line))
    return "\n".join([*out, *_code_block([*block, mark])] if mark else out)


def _code_block(lines: list[str]) -> list[str]:
    if not any(_RISKY.search(line) for line in lines):
        return lines
    indent = re.match(r"[\s>]*", lines[0])
    code = [_entities(line) for line in lines[1:-1]]
    return [f"{indent[0] if indent else ''}<pre><code>{'&#10;'.join(code)}</code></pre>"]


def _escape_line(line: str) -> str:
    out, at = [], 0
    for span in _CODE_OR_MATH.finditer(line):
        out.append(_escape_text(line[at : span.start()]))
        if not _RISKY.search(span[0]):
            out.append(span[0])
        elif span[1]:
            out.append(f"<code>{_entities(span[0].strip('`'))}</code>")
        else:  # a space means nothing in a formula, and an entity would show
            out.append(_RISKY.sub(lambda sign: f"{sign[0][0]} {sign[0][1:]}", span[0]))
        at = span.end()
    return "".join([*out, _escape_text(line[at:])])


def _escape_text(text: str) -> str:
    text = _ENTITY.sub("&amp;", text)
    return _RISKY.sub(lambda s: "&lt;" if s[0] == "<" else f"{s[0][0]}\\{s[0][1:]}", text)


def _entities(code: str) -> str:
    """Nothing that Markdown or HTML could take for a sign; letters, digits and spaces stay."""
    return "".join(c if c.isalnum() or c == " " else f"&#{ord(c)};" for c in code)


def _one_line(text: str, limit: int = 120) -> str:
    line = " ".join(text.split())
    return line if len(line) <= limit else line[: limit - 1] + "…"
