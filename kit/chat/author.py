"""Who wrote an answer: by a twin's header or the id of its response, else the model that is served.

reply = client.chat.completions.create(…)  # plain openai
kit.author(reply)                          # "authored reply"
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
    if isinstance(reply, list | tuple) and reply:
        return author(reply[-1])
    known = getattr(reply, "author", None)
    if isinstance(known, Author):
        return known.title
    start, model = str(getattr(reply, "id", "")), str(getattr(reply, "model", "") or "unknown")
    for kind in AuthorKind:
        if start.startswith(kind.mark):
            return Author(kind, card().name if kind is AuthorKind.POCKET else "").title
    return author_of(None, model).title
