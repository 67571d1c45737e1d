"""Batches of sessions: a pure function of the step, so that a resumed run sees the same ones."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from itertools import islice
from random import Random
from typing import Any

from pocket.data.dialogue import Dialogue
from pocket.data.session import Segment, session

IGNORED = -100
LONGEST = 1280
# Token ids, and the same with what is not learnt blanked out.
Row = tuple[list[int], list[int]]
AT_ONCE = 8  # steps whose sessions are sorted together by length, against padding


def encode(tokenizer: Any, segments: Sequence[Segment]) -> Row:
    """Token ids, and the same with everything that is not learnt blanked out."""
    ids: list[int] = []
    labels: list[int] = []
    for segment in segments:
        part = tokenizer(segment.text, add_special_tokens=False).input_ids
        ids += part
        labels += part if segment.learnt else [IGNORED] * len(part)
    return ids[:LONGEST], labels[:LONGEST]


def dialogue_tokens(tokenizer: Any, dialogue: Dialogue) -> Row:
    return encode(tokenizer, [Segment(dialogue.prompt, False), Segment(dialogue.completion, True)])


def padded(rows: Sequence[Row], padding: int) -> tuple[Any, Any]:
    """Ids and labels as two tensors [rows, longest]."""
    import torch

    longest = max(len(ids) for ids, _ in rows)
    x = torch.full((len(rows), longest), padding)
    y = torch.full((len(rows), longest), IGNORED)
    for i, (ids, labels) in enumerate(rows):
        x[i, : len(ids)] = torch.tensor(ids)
        y[i, : len(labels)] = torch.tensor(labels)
    return x, y


class Blocks:
    """Item `i` holds what the `AT_ONCE` steps from `AT_ONCE * i` on read, as lists of rows."""

    def __init__(self, tokenizer: Any, training: dict[str, Any], steps: int, seed: int) -> None:
        self.padding = tokenizer.pad_token_id
        self._tokenizer = tokenizer
        self._training = training
        self.steps = steps
        self._seed = seed

    def __len__(self) -> int:
        return -(-self.steps // AT_ONCE)

    def __getitem__(self, block: int) -> list[list[Row]]:
        r = Random(f"{self._seed} {block}")
        tokens = self._training["tokens_per_step"]
        share = copies(AT_ONCE * block / self.steps, self._training)
        rows: list[Row] = []
        missing = tokens * AT_ONCE
        while missing > 0:
            rows.append(encode(self._tokenizer, session(r, share)))
            missing -= len(rows[-1][0])
        rows.sort(key=lambda row: len(row[0]))
        groups: list[list[Row]] = [[]]
        for row in rows:
            if groups[-1] and (len(groups[-1]) + 1) * len(row[0]) > tokens:
                groups.append([])
            groups[-1].append(row)
        r.shuffle(groups)
        return groups[:AT_ONCE]


def copies(done: float, training: dict[str, Any]) -> float:
    """The share of sessions that only repeat words: many at first, few from `copies_until` on."""
    first, last = training["copies_first"], training["copies_last"]
    return float(max(last, first + (last - first) * done / training["copies_until"]))


def stream(blocks: Blocks, first_step: int, workers: int) -> Iterator[tuple[Any, Any]]:
    """Ids and labels from a step to the last; `workers` processes prepare them (0: this one)."""
    from torch.utils.data import DataLoader

    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    order = range(first_step // AT_ONCE, len(blocks))
    loader: Any = DataLoader(
        blocks, batch_size=None, sampler=order, num_workers=workers, collate_fn=list
    )
    groups = (group for block in loader for group in block)
    skip = first_step % AT_ONCE
    for group in islice(groups, skip, skip + max(0, blocks.steps - first_step)):
        yield padded(group, blocks.padding)
