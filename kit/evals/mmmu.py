"""MMMU: its rows, its prompt, and how SGLang's script reads an open answer.

The data set is on the Hub as one parquet file per subject; here it is read as JSON lines of the
same rows (`id`, `question`, `options`, `answer`, `image_1` …), with a `subject`, or an id that
names it: `validation_Art_Theory_3`.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from kit import load_data
from kit.errors import KitError
from kit.evals.lines import json_lines
from kit.evals.problems import Problem, ProblemSet

LICENCE = "Apache-2.0, MMMU/MMMU on the Hub"
MAX_TOKENS = 512
_IMAGES = 7  # a row has image_1 to image_7, most of them empty
_FORMAT = "give --data FILE.jsonl with MMMU's rows: id, question, options, answer, image_1"
_ID = re.compile(r"^(?:dev|validation|test)_(.+)_\d+$")
_KEYWORDS = ("could be ", "so ", "is ", "thus ", "therefore ", "final ", "answer ", "result ")
_NUMBERS = re.compile(r"-?\b\d{1,3}(?:,\d{3})+\b|-?\d*\.?\d+(?:[eE][+-]?\d+)?")


def groups() -> dict[str, str]:
    """Subject → group, as MMMU divides its thirty subjects into six."""
    table = load_data.toml("evals/mmmu_groups.toml")
    return {subject: group for group, subjects in table.items() for subject in subjects}


def read(path: Path) -> ProblemSet:
    """The rows of a file. Raises KitError with the line that is wrong."""
    problems: dict[str, Problem] = {}
    for at, row in json_lines(path, _FORMAT):
        try:
            problem = _problem(row, at)
        except (KeyError, TypeError, ValueError, SyntaxError) as wrong:
            raise KitError(f"{path}, line {at}: not MMMU's format ({wrong})", _FORMAT) from wrong
        problems.setdefault(problem.id, problem)
    if not problems:
        raise KitError(f"{path} holds no problem", _FORMAT)
    return ProblemSet("mmmu", tuple(problems.values()), path.name, LICENCE)


def prompt(problem: Problem) -> str:
    """The question, its options by letter, and what the last line has to be."""
    if problem.kind != "choice":
        return f"{problem.question}\n\nAnswer: "
    options = "".join(f"{chr(65 + at)}. {one}\n" for at, one in enumerate(problem.options))
    return (
        f"{problem.question}\n{options}\nReason step by step. End with one line of this form, "
        "with the letter of one option: 'Answer: A'"
    )


def matches(said: str, wanted: str) -> bool:
    """Whether an open answer holds the right one: the end of a sentence after "is", "so", "=" …,
    or a number in it, equal after rounding to two places; or a text that contains it."""
    right = _normal(wanted)
    for found in _candidates(said):
        normal = _normal(found)
        if normal == right:
            return True
        if isinstance(normal, str) and isinstance(right, str) and right in normal:
            return True
    return False


def _problem(row: Mapping[str, Any], at: int) -> Problem:
    options = row.get("options") or ()
    if isinstance(options, str):
        options = ast.literal_eval(options)
    name = str(row.get("id", at))
    found = _ID.match(name)
    subject = str(row.get("subject") or (found.group(1) if found else "Unknown"))
    answer = row["answer"]
    if not isinstance(answer, str):
        raise TypeError("answer is no text")
    return Problem(
        name,
        str(row["question"]),
        answer,
        "choice" if options else "open",
        tuple(map(str, options)),
        subject,
        images=tuple(_images(row)),
    )


def _images(row: Mapping[str, Any]) -> Iterator[str]:
    """The pictures of a row as data: URLs, whichever way the row was exported."""
    for number in range(1, _IMAGES + 1):
        image = row.get(f"image_{number}")
        if isinstance(image, Mapping):
            image = image.get("bytes")
        if not image:
            continue
        if not isinstance(image, str):
            raise TypeError(f"image_{number} is no data: URL, no base64 and no file")
        yield image if image.startswith(("data:", "http")) else f"data:image/png;base64,{image}"


def _candidates(said: str) -> list[str]:
    parts = re.split(r"\.\s(?=[A-Z])|\n", said.strip().rstrip("."))
    keys = []
    for at, part in enumerate(parts):
        words = (*_KEYWORDS, "=") if at == len(parts) - 1 else _KEYWORDS
        ends = [part.lower().rpartition(word)[2].strip() for word in words if word in part.lower()]
        if ends:
            keys.append(min(ends, key=len))
    keys = [key for key in keys if key.strip(":,.!?;'")] or [said]
    return keys + [number for key in keys for number in _NUMBERS.findall(key)]


def _normal(text: str) -> float | str:
    text = text.strip().rstrip(".").lower()
    try:
        return round(float(text.replace(",", "")), 2)
    except ValueError:
        return text
