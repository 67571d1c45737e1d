"""The Qwen3.5 serving kit: from a model's shape to a measured server.

The line that runs through it, left to right; a module imports what stands left of it:

    python_floor  the oldest Python that will do
    errors      what went wrong, and what to type next
    provenance  computed · simulated · published · measured, and who wrote a text
    load_data   the files of kit/data, and when a rule in them holds
    text_file   files that people save, read in any encoding; ours, written whole or not at all
    parent      noticing that whoever started this process is gone
    models      a config's shape → parameters, bytes, cache per token
    hardware    GPUs, and profiles: model × precision × GPUs × serving options
    sizing      profile + SGLang version → memory plan; when asked, reasons and remedies
    deployment_matrix   the cookbook's whole deployment matrix, ours beside theirs; common_setups:
                ten outside data centres, beside what their owners say
    speed       profile → step times, by roofline and a few fitted constants; speculation
    scheduler   SGLang's scheduler in virtual time
    pocket      the pocket model: its card, and what its MTP layer got accepted
    sampling    what the model cards recommend, by size and mode
    launch      profile + SGLang version → the command, a reason for each flag, in six forms
    http        the one GET: of servers that may not be there, of pictures on the web
    server      a command → a running server: start, follow, diagnose, adopt, stop
    vision      pictures and videos → content parts, what they cost in tokens; drawings to ask about
    twin        a simulated SGLang server: the real wire over `scheduler`
    endpoint    which server am I talking to, and what are its numbers worth
    chat        messages → events: thinking, answer, tool calls, usage
    tools       a Python function → a checked tool, and the loop that lets a model call it
    bench       workloads, the measuring client, metrics, published runs
    capacity    a target → the profiles that hold it, how many, what they cost
    views       everything that draws
    course      the notebooks, exercises that check themselves, drawings, recorded start-up logs
    cli         `kit …`
"""

from __future__ import annotations

import importlib
from typing import Any

from kit import python_floor  # noqa: F401, before all else: an older Python ends there

__version__ = "0.1.0"

_HOME = {
    "KitError": "errors",
    "Profile": "hardware",
    "profile": "hardware",
    "profiles": "hardware",
    "model": "models",
    "plan": "sizing",
    "explain": "sizing",
    "launch_plan": "launch",
    "connect": "endpoint",
    "author": "chat.author",
    "notice": "chat.author",
    "fold": "views.fold",
    "guess": "views.widgets.guess",
}
_MODULES = {
    "bench",
    "capacity",
    "chat",
    "endpoint",
    "hardware",
    "launch",
    "models",
    "sampling",
    "server",
    "sizing",
    "speed",
    "tools",
    "views",
    "vision",
}

__all__ = sorted(_HOME)


def __getattr__(name: str) -> Any:
    """Load on first use, so that `import kit` costs next to nothing."""
    if name in _HOME:
        return getattr(importlib.import_module(f"kit.{_HOME[name]}"), name)
    if name in _MODULES:
        return importlib.import_module(f"kit.{name}")
    raise AttributeError(f"module 'kit' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOME, *_MODULES})
