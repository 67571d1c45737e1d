"""An answer as a saved notebook keeps it: plain Markdown, readable anywhere, safe everywhere."""

from __future__ import annotations

from collections.abc import Sequence

from kit.errors import KitError
from kit.views.reply import Reply
from kit.views.safe_markdown import escape


def bundle(
    replies: Sequence[tuple[str, Reply, KitError | None]], labels: list[str] | None = None
) -> dict[str, str]:
    """The MIME bundle of answers, each with a title: text/markdown and text/plain.

    `labels` are what stands for their provenances; it grows here, and given again it keeps a
    later bundle of the same answers as full as the first.
    """
    labels = [] if labels is None else labels
    labels += [reply.provenance.short for _, reply, _ in replies[len(labels) :]]
    labelled = [(*each, label) for each, label in zip(replies, labels, strict=False)]
    return {
        "text/markdown": "\n\n---\n\n".join(_markdown(*each) for each in labelled),
        "text/plain": "\n\n".join(_plain(*each) for each in labelled),
    }


def _markdown(title: str, reply: Reply, error: KitError | None, label: str) -> str:
    parts = [f"**{escape(_one_line(title))}** · {escape(_one_line(reply.prompt))}"]
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
    parts.append(f"{escape(figures(reply))}  \n*{escape(footing(reply, label))}*")
    return "\n\n".join(parts)


def _plain(title: str, reply: Reply, error: KitError | None, label: str) -> str:
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
    parts.append(f"{figures(reply)}\n{footing(reply, label)}")
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


def footing(reply: Reply, label: str) -> str:
    """What the figures are worth, and who wrote the text."""
    return f"{label} — {reply.author or 'nobody answered'}"


def _one_line(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= 120 else line[:119] + "…"
