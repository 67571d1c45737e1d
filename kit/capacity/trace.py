"""A trace of requests: lengths, arrivals and shared prefixes, from a file.

Mooncake's format: JSON lines of `timestamp` (ms), `input_length`, `output_length` and `hash_ids`,
one per block of 512 prompt tokens; equal ids are equal prefixes. sglang.bench_serving replays the
same file (`--dataset-name mooncake`).

bench_serving's format: a result line written with `--output-details`, which keeps `input_lens` and
`output_lens` of each request and not when they came: such a trace needs a number of users, or a
rate.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import NoneType
from typing import Any, NamedTuple

from kit.errors import InvalidValue
from kit.text_file import read_text

BLOCK_TOKENS = 512  # of a hash id. Source: Mooncake's FAST25 trace release, README
MOST_ROWS = 2000  # requests of a trace that are simulated: those that came closest together
MOST_TOKENS = 10_000_000
MOST_MS = 1e15  # a timestamp: thirty thousand years
_HINT = (
    "give Mooncake's JSON lines (timestamp, input_length, output_length, hash_ids), or a result "
    "line of bench_serving --output-details"
)


class Row(NamedTuple):
    """One request. `shared` names a prefix that others have too, and its length in tokens."""

    input_tokens: int
    output_tokens: int
    arrival_s: float = 0.0
    image_tokens: int = 0
    shared: tuple[str, int] | None = None


@dataclass(frozen=True)
class Trace:
    """Requests in the order of their arrival. `timed`: whether the file says when they came;
    `left_out`: how many it has beyond those that are simulated."""

    name: str
    rows: tuple[Row, ...]
    timed: bool
    left_out: int = 0


def read_trace(path: Path) -> Trace:
    """The trace in `path`. Raises KitError where it cannot be read, InvalidValue for another
    format, or a line of it that is broken."""
    lines = [
        (number, line.strip())
        for number, line in enumerate(read_text(path, _HINT).splitlines(), 1)
        if line.strip()
    ]
    if not lines:
        raise InvalidValue(f"{path} is empty", _HINT)
    found = [_line(path, number, line) for number, line in lines]
    if "input_lens" in found[0]:
        rows = [row for at, line in zip(lines, found, strict=True) for row in _run(path, at, line)]
        if not rows:
            raise InvalidValue(f"{path}: no request of it was answered", _HINT)
        return Trace(path.name, tuple(rows[:MOST_ROWS]), False, max(len(rows) - MOST_ROWS, 0))
    rows = [_request(path, at[0], line) for at, line in zip(lines, found, strict=True)]
    prefixes = _Prefixes()
    ordered = sorted(zip(rows, found, strict=True), key=lambda pair: pair[0].arrival_s)
    with_prefix = [prefixes.of(row, line.get("hash_ids") or []) for row, line in ordered]
    busiest = _busiest(with_prefix)
    return Trace(path.name, busiest, True, len(rows) - len(busiest))


def _line(path: Path, number: int, text: str) -> dict[str, Any]:
    try:
        line = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InvalidValue(f"{path}, line {number} is no whole JSON object", _HINT) from error
    if not isinstance(line, dict):
        raise InvalidValue(f"{path}, line {number} is no JSON object", _HINT)
    return line


def _request(path: Path, number: int, line: Mapping[str, Any]) -> Row:
    where = f"{path}, line {number}"
    tokens = [_tokens(where, line, key) for key in ("input_length", "output_length")]
    at_ms = line.get("timestamp")
    if isinstance(at_ms, bool) or not isinstance(at_ms, int | float) or not abs(at_ms) < MOST_MS:
        raise InvalidValue(f"{where} has no timestamp in milliseconds", _HINT)
    if not isinstance(line.get("hash_ids", []), list | NoneType):
        raise InvalidValue(f"{where} has hash_ids that are no list", _HINT)
    return Row(tokens[0], tokens[1], at_ms / 1e3)


def _run(path: Path, at: tuple[int, str], line: Mapping[str, Any]) -> Iterator[Row]:
    """The requests of a result line; those that failed have no tokens out, and are left out."""
    where = f"{path}, line {at[0]}"
    ins, outs = line.get("input_lens"), line.get("output_lens")
    if not isinstance(ins, list) or not isinstance(outs, list) or len(ins) != len(outs):
        raise InvalidValue(f"{where} has no input_lens and output_lens of one length", _HINT)
    for tokens_in, tokens_out in zip(ins, outs, strict=True):
        if tokens_out == 0:
            continue
        both = {"input_length": tokens_in, "output_length": tokens_out}
        yield Row(_tokens(where, both, "input_length"), _tokens(where, both, "output_length"))


def _tokens(where: str, line: Mapping[str, Any], key: str) -> int:
    value = line.get(key)
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= MOST_TOKENS:
        shown = "no" if value is None else f"{value!r:.40} as"
        raise InvalidValue(f"{where} has {shown} {key}", _HINT)
    return value


def _busiest(rows: Sequence[Row]) -> tuple[Row, ...]:
    """The MOST_ROWS requests in a row that came in the least time, from second 0 on."""
    last = max(len(rows) - MOST_ROWS, 0)
    size = min(len(rows), MOST_ROWS) - 1
    start = min(range(last + 1), key=lambda i: rows[i + size].arrival_s - rows[i].arrival_s)
    chosen = rows[start : start + size + 1]
    return tuple(row._replace(arrival_s=row.arrival_s - chosen[0].arrival_s) for row in chosen)


class _Prefixes:
    """Chains of blocks as families of shared prefixes.

    A prompt that goes on where a chain ended belongs to its family; one that leaves a chain begins
    a family of its own, and what it has in common with the old one is read anew by its first
    request. That makes a prediction somewhat pessimistic, never optimistic.
    """

    def __init__(self) -> None:
        self._family: dict[Any, str] = {}  # the family of a block's chain
        self._tip: dict[str, Any] = {}  # the last block of a family

    def of(self, row: Row, hash_ids: Sequence[Any]) -> Row:
        """The row with the family of its prompt's whole blocks."""
        ids = [str(one) for one in hash_ids][: (row.input_tokens - 1) // BLOCK_TOKENS]
        if not ids:
            return row
        known = next((i for i in reversed(range(len(ids))) if ids[i] in self._family), None)
        name = self._family[ids[known]] if known is not None else ids[0]
        inside = known == len(ids) - 1
        if known is not None and not inside and self._tip[name] != ids[known]:
            name = ids[known + 1]  # it leaves the chain
        for one in ids[(known + 1 if known is not None else 0) :]:
            self._family[one] = name
        if not inside:
            self._tip[name] = ids[-1]
        return row._replace(shared=(name, len(ids) * BLOCK_TOKENS))
