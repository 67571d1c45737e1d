"""sgl-eval, SGLang's own harness, on the same problems: run where it is installed, and read.

    report = await sgl_eval.run(endpoint, problems, Settings())

It wants an environment of its own (it needs an older openai than this course), so it is called as a
command: the one on PATH, or the one that SGL_EVAL names. It reads answers from `\\boxed{}` alone.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from kit.errors import KitError
from kit.evals.problems import ProblemSet
from kit.evals.report import EvalReport, read_report
from kit.evals.run import Settings, refuse_twin
from kit.server.processes import finished

if TYPE_CHECKING:
    from kit.endpoint import Endpoint

TIMEOUT_S = 24 * 3600.0
_INSTALL = "pip install sgl-eval in an environment of its own, and SGL_EVAL=…/bin/sgl-eval"


def installed() -> str | None:
    """The command; None where there is none."""
    return os.environ.get("SGL_EVAL") or shutil.which("sgl-eval")


def data_file(problems: ProblemSet, path: Path) -> Path:
    """The problems as sgl-eval's `--from-dataset` takes them."""
    rows = [
        {"id": one.id, "problem": one.question, "expected_answer": one.answer}
        for one in problems.problems
    ]
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), "utf-8")
    return path


async def run(endpoint: Endpoint, problems: ProblemSet, settings: Settings) -> EvalReport:
    """Run it, and read what it wrote. Raises KitError for a twin, where it is not installed, and
    where it fails."""
    refuse_twin(endpoint)
    command = installed()
    if command is None:
        raise KitError("sgl-eval is not installed here", _INSTALL)
    if any(one.kind not in ("integer", "number") or one.images for one in problems.problems):
        raise KitError("sgl-eval is given number problems only", "take gsm8k or word-problems")
    with tempfile.TemporaryDirectory(prefix="kit-sgl-eval-") as folder:
        data = data_file(problems, Path(folder) / "problems.jsonl")
        argv = [
            command, "run", "gsm8k", "--base-url", f"{endpoint.base_url}/v1",
            "--model", endpoint.model, "--from-dataset", str(data), "--out-dir", folder,
            "--num-threads", str(settings.concurrency), "--max-tokens", str(settings.max_tokens),
            "--temperature", f"{settings.temperature:g}",
            "--chat-template-kwarg", f"enable_thinking={json.dumps(bool(settings.thinking))}",
        ]  # fmt: skip
        output, code = await finished(argv, TIMEOUT_S)
        results = sorted(Path(folder).glob("sgl_eval_*/output-rs0.jsonl"))
        if code or not results:
            last = (output.strip().splitlines() or ["it printed nothing"])[-1]
            raise KitError(f"sgl-eval failed: {last}", "run `sgl-eval run gsm8k` in a shell")
        report = read_report(results[0])
    head = {**report.head, "eval": f"{problems.name} (sgl-eval)", "model": endpoint.model}
    answers = {one.id: one for one in report.answers}
    ordered = tuple(answers[one.id] for one in problems.problems if one.id in answers)
    return EvalReport({**head, "provenance": endpoint.provenance.to_json()}, ordered)
