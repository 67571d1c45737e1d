"""GSM8K: its file, the few-shot prompt of SGLang's script, and where the file comes from.

The script shows the first `shots` problems of the file with their solutions, and then asks the
file from its first line on: the first five questions of its 200 are answered in the prompt.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path

from kit.errors import KitError
from kit.evals.extract import last_integer
from kit.evals.lines import json_lines
from kit.evals.problems import Problem, ProblemSet
from kit.http import NoReply, fetch
from kit.text_file import write_bytes

URL = "https://raw.githubusercontent.com/openai/grade-school-math/master/grade_school_math/data/test.jsonl"
SHA256 = "3730d312f6e3440559ace48831e51066acaca737f6eabec99bccb9e4b3c39d14"
LICENCE = "MIT, © 2021 OpenAI"
STOP = ("Question", "Assistant:", "<|separator|>")
SHOTS = 5
MAX_TOKENS = 512
_FETCH_S = 60.0
_OWN_FILE = 'give a file: --data FILE.jsonl, lines {"question": …, "answer": "… #### 18"}'


def read(path: Path, shots: int = SHOTS) -> ProblemSet:
    """The problems of a file in GSM8K's own format: lines of `question` and `answer`, whose last
    number is the right one; or in sgl-eval's: `problem` and `expected_answer`. Duplicate questions
    are asked once. Raises KitError with the line that is wrong."""
    problems: dict[str, Problem] = {}
    doubled = 0
    for at, row in json_lines(path, _OWN_FILE):
        question, worked = row.get("question"), row.get("answer")
        if "problem" in row:  # a data file of sgl-eval's
            question, worked = row["problem"], str(row.get("expected_answer"))
        if not isinstance(question, str) or not isinstance(worked, str):
            raise KitError(
                f"{path}, line {at}: not GSM8K's format (keys: {', '.join(list(row)[:6])})",
                _OWN_FILE,
            )
        answer = last_integer(worked.rpartition("####")[2])
        if answer is None:
            raise KitError(f"{path}, line {at}: no number in its answer", _OWN_FILE)
        doubled += question in problems
        problems.setdefault(
            question, Problem(str(at - 1), question, str(answer), "integer", worked=worked)
        )
    rows = tuple(problems.values())
    if not rows:
        raise KitError(f"{path} holds no problem", _OWN_FILE)
    notes = [f"{doubled} duplicate question(s) asked once"] if doubled else []
    if shots:
        notes.append(f"the first {shots} questions stand with their solutions in every prompt")
    real = _sha256(path) == SHA256
    name = "gsm8k" if real else f"{path.name} (in GSM8K's format)"
    licence = LICENCE if real else ""
    source = f"{path.name}, sha256 {_sha256(path)[:12]}"
    return ProblemSet(name, rows, source, licence, rows[:shots], tuple(notes))


def cached() -> Path:
    """The published file, fetched once into the cache and checked. Raises KitError without it."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    path = Path(base) / "qwen35-kit" / "gsm8k-test.jsonl"
    if path.exists() and _sha256(path) == SHA256:
        return path
    try:
        reply = fetch(URL, accept="*/*", timeout_s=_FETCH_S)
    except NoReply as problem:
        raise KitError(f"GSM8K cannot be fetched: {problem.detail}", _OWN_FILE) from problem
    if reply.status != 200 or hashlib.sha256(reply.content).hexdigest() != SHA256:
        raise KitError(f"what {URL} sends is not GSM8K's test file ({reply.summary})", _OWN_FILE)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_bytes(path, reply.content)
    return path


def prompt(problem: Problem, shots: Sequence[Problem]) -> str:
    """As SGLang's script writes it: `Question: …\\nAnswer: …`, the last answer left open."""
    shown = "".join(f"Question: {one.question}\nAnswer: {one.worked}\n\n" for one in shots)
    return f"{shown}Question: {problem.question}\nAnswer:"


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
