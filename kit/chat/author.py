"""Who wrote an answer: by a twin's header or the id of its response, else the model that is served.

reply = client.chat.completions.create(…)  # plain openai
kit.author(reply)                          # "authored reply"
kit.notice(reply)                          # "", or why this reply is no answer to count
"""

from __future__ import annotations

from typing import Any

from kit.pocket import SERVED_NAME, card
from kit.provenance import Author, AuthorKind


def author_of(header: str | None, model: str) -> Author:
    """The author by the twin's header `x-kit-author`. Behind any other server it is its model,
    which may be the pocket model, by its name."""
    if header is None:
        return Author(AuthorKind.POCKET if model == SERVED_NAME else AuthorKind.MODEL, model)
    named, _, name = header.partition(";")
    try:
        return Author(AuthorKind(named.strip()), name.strip())
    except ValueError:  # a header of somebody else's
        return Author(AuthorKind.MODEL, model)


def author(reply: Any) -> str:
    """Who wrote a reply of the openai client, in a few words: "authored reply",
    "pocket model · 3.2 M", or the name of the model that a live server serves.

    `reply` is a completion, a chunk of a stream, or a list of its chunks; or anything of this kit
    that has an `author`.
    """
    return _author(reply).title


def notice(reply: Any) -> str:
    """Why a reply is no answer to score, check or count: the twin's notice, after "not here".
    Empty where a model or the authors of this course wrote it. `reply` as for `author`, but for a
    chunk, which has a piece of the text alone.
    """
    if _author(reply).kind is not AuthorKind.NOTICE:
        return ""
    text = getattr(reply, "answer", None)
    if text is None:
        text = next((choice.message.content for choice in reply.choices), "")
    return f"not here: no model answered this, so it does not count\n\n{text or ''}".strip()


def _author(reply: Any) -> Author:
    if isinstance(reply, list | tuple) and reply:
        return _author(reply[-1])
    known = getattr(reply, "author", None)
    if isinstance(known, Author):
        return known
    start, model = str(getattr(reply, "id", "")), str(getattr(reply, "model", "") or "unknown")
    for kind in AuthorKind:
        if start.startswith(kind.mark):
            return Author(kind, card().name if kind is AuthorKind.POCKET else "")
    return author_of(None, model)
