"""Will it fit? A profile and an SGLang version → a memory plan; and, when asked, why.

accounting    how each SGLang version counts
mem_fraction  what stays outside the static budget
rank_memory   the budget of one rank, divided; what its memory goes to
plan          the figures
remedies      what would mend a plan
explain       a plan in words
"""

from kit.sizing.explain import Explanation, explain
from kit.sizing.plan import FITS_TOKENS, GIB, TIGHT_REQUESTS, YARN_TOKENS, MemoryPlan, plan
from kit.sizing.rank_memory import RankLedger
from kit.sizing.remedies import Remedy

__all__ = [
    "FITS_TOKENS",
    "GIB",
    "TIGHT_REQUESTS",
    "YARN_TOKENS",
    "Explanation",
    "MemoryPlan",
    "RankLedger",
    "Remedy",
    "explain",
    "plan",
]
