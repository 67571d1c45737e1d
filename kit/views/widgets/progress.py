"""Progress of something that takes more than two seconds, as one line that grows.

report = await bench.measure(endpoint, workload, on_progress=progress("requests"))
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def progress(what: str) -> Callable[[int, int], None]:
    """A function of (done, total) that shows "3 of 10 requests" in this cell, as a bar."""
    from IPython.display import display

    line: Any = None

    def show(done: int, total: int) -> None:
        nonlocal line
        text = f"{done:,} of {total:,} {what}"
        bar = f'<progress value="{done}" max="{total}" aria-label="{what}"></progress> {text}'
        bundle = {"text/html": bar, "text/plain": text}
        if line is None:
            line = display(bundle, raw=True, display_id=True)
        else:
            line.update(bundle, raw=True)

    return show
