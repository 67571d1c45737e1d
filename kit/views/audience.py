"""Is somebody watching? A card needs a page that draws it; a headless run has none."""

from __future__ import annotations

import asyncio
from typing import Any

from kit.views.card import Card

_PATIENCE_S = 1.5
_PATIENCE_WITH_A_PAGE_S = 10.0

_nobody_came = False  # once waited for in vain, headless for good: the next card does not wait


async def is_watched(card: Card) -> bool:
    """Whether a front end has drawn `card`; waits for it a little, the first time.

    JupyterLab names the cell in each request, and then it is only a matter of time.
    """
    global _nobody_came
    page = "cellId" in _request_metadata()
    if not card.seen.is_set() and (page or not _nobody_came):
        patience_s = _PATIENCE_WITH_A_PAGE_S if page else _PATIENCE_S
        try:
            await asyncio.wait_for(card.seen.wait(), patience_s)
        except TimeoutError:
            _nobody_came = True
    return card.seen.is_set()


def _request_metadata() -> dict[str, Any]:
    from IPython.core.getipython import get_ipython

    kernel = getattr(get_ipython(), "kernel", None)
    return kernel.get_parent().get("metadata", {}) if kernel else {}
