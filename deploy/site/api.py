"""The page of the kit's public names: signatures and docstrings, read from the code."""

from __future__ import annotations

import importlib
import inspect

import kit


def api_page() -> str:
    """In Markdown. A name is what `import kit` offers; a module is one line."""
    parts = [
        "# The public names\n\nWhat `import kit` offers. Everything else is found from these.\n"
    ]
    parts += [_entry(name, getattr(kit, name)) for name in kit.__all__]
    parts.append("\n## The modules\n\n| module | what it is |\n|---|---|\n")
    for name in sorted(kit._MODULES):
        about = inspect.getdoc(importlib.import_module(f"kit.{name}")) or ""
        first = about.split("\n\n")[0].replace("\n", " ").replace("|", "\\|")
        parts.append(f"| `kit.{name}` | {first} |\n")
    return "".join(parts)


def _entry(name: str, thing: object) -> str:
    text = f"\n## `kit.{name}`\n\n```python\n{_signature(name, thing)}\n```\n\n{_doc(thing)}\n"
    if inspect.isclass(thing):
        for member, value in vars(thing).items():
            if member.startswith("_") or not (doc := inspect.getdoc(value)):
                continue
            if inspect.isroutine(value) or isinstance(value, (property, classmethod)):
                text += f"\n- `{member}`: {' '.join(doc.split(chr(10) * 2)[0].split())}"
        text += "\n"
    return text


def _signature(name: str, thing: object) -> str:
    try:
        signature = str(inspect.signature(thing))
    except (TypeError, ValueError):
        return f"kit.{name}"
    if len(signature) > 80:
        signature = signature.replace("(", "(\n    ", 1).replace(", ", ",\n    ")
    return f"kit.{name}{signature}"


def _doc(thing: object) -> str:
    """The docstring; its indented examples stand as code in Markdown already."""
    return inspect.getdoc(thing) or ""
