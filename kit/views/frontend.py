"""Is a page watching? Only then is a card worth making; a headless run gets the text alone.

That has to be known beforehand: nbclient and papermill save the state of every widget that was
ever opened, 320 kB for a card, closed or not.
"""

from __future__ import annotations

import asyncio
from typing import Any

_PATIENCE_S = 1.0

_answered: bool | None = None  # what this kernel's front end said when it was asked


async def has_page() -> bool:
    """Whether a front end will draw what this cell shows.

    JupyterLab names the cell in every request. Any other front end has to close a comm whose
    target it does not know (so says Jupyter's messaging protocol), and a headless client keeps
    silent; it is asked once a kernel.
    """
    global _answered
    request = request_metadata()
    if request is None:
        return False
    if "cellId" in request:
        return True
    if _answered is None:
        _answered = await _somebody_closes_a_comm()
    return _answered


def request_metadata() -> dict[str, Any] | None:
    """Metadata of the request that this cell answers; None outside a kernel."""
    from IPython.core.getipython import get_ipython

    kernel = getattr(get_ipython(), "kernel", None)
    if kernel is None:
        return None
    metadata: dict[str, Any] = kernel.get_parent().get("metadata", {})
    return metadata


async def _somebody_closes_a_comm() -> bool:
    from comm import create_comm

    closed = asyncio.Event()
    probe = create_comm(target_name="kit.is-a-page-there")
    probe.on_close(lambda _: closed.set())
    try:
        await asyncio.wait_for(closed.wait(), _PATIENCE_S)
    except TimeoutError:
        probe.close()
    return closed.is_set()
