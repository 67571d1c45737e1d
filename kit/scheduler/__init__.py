"""SGLang's scheduler in virtual time: what runs in which step, and what each step gives.

One object, two users: `kit.bench` runs it flat out, the twin runs it against the clock.

    submit → (request overhead) → queue, first come first served
           → prefill, in chunks, before any decode      → first token
           → decode, or verify under MTP, all together  → 1 + accepted tokens per step
           → finished, the slot goes to the head of the queue

requests       what comes in, and what a step gives
acceptance     how many drafts a verify step accepts
config         SGLang's constants, and how its versions differ (`data/scheduler.toml`)
prefill_adder  what is reserved before a request may run
radix_cache    prefixes that are reused, as deep as GDN states allow
scheduler      the loop over them: slots, prefill, decode, retraction
"""

from kit.scheduler.acceptance import Acceptance, default_accept_length
from kit.scheduler.config import default_chunk_tokens
from kit.scheduler.requests import Request, Step
from kit.scheduler.scheduler import Scheduler

__all__ = [
    "Acceptance",
    "Request",
    "Scheduler",
    "Step",
    "default_accept_length",
    "default_chunk_tokens",
]
