"""Will it fit? A profile and an SGLang version → a memory plan with its reasons."""

from kit.sizing.plan import (
    FITS_TOKENS,
    GIB,
    TIGHT_REQUESTS,
    YARN_TOKENS,
    MemoryPlan,
    RankLedger,
    _Held,
    _page_size,
    plan,
    size,
)

__all__ = [
    "FITS_TOKENS",
    "GIB",
    "TIGHT_REQUESTS",
    "YARN_TOKENS",
    "MemoryPlan",
    "RankLedger",
    "_Held",
    "_page_size",
    "plan",
    "size",
]
