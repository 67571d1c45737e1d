"""Asks a model the problems of a set, several at once, and keeps each answer as it comes.

    report = await evals.run(endpoint, problems, Settings(concurrency=32), out=Path("a.jsonl"))

The file begins with a line of what is asked, how, and of whom; each further line is an answer. A
run that was interrupted goes on where it was when it is started again with the same file. A
twin is refused: its replies are authored, and authored text has no accuracy.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from kit import chat
from kit.errors import EndpointError, InvalidValue, KitError
from kit.evals import extract, gsm8k, mmmu
from kit.evals.problems import Problem, ProblemSet
from kit.evals.report import Answered, EvalReport, read_report
from kit.text_file import append_line

if TYPE_CHECKING:
    from kit.endpoint import Endpoint

OnProgress = Callable[[int, int, int], None]  # answered, right, asked
_GIVE_UP = 5  # requests in a row that fail: the server is gone


@dataclass(frozen=True)
class Settings:
    """How the problems are asked. `via` is "chat" (the chat template applies) or "generate"
    (SGLang's /generate with the bare text, as its GSM8K script does). `thinking` None leaves it to
    the server. `concurrency` is requests at once."""

    via: Literal["chat", "generate"] = "chat"
    max_tokens: int = gsm8k.MAX_TOKENS
    temperature: float = 0.0
    thinking: bool | None = False
    concurrency: int = 32
    seed: int | None = None

    def __post_init__(self) -> None:
        for name in ("max_tokens", "concurrency"):
            if getattr(self, name) < 1:
                raise InvalidValue(f"{name} {getattr(self, name)}", "give 1 or more")
        if self.via not in ("chat", "generate"):
            raise InvalidValue(f"via {self.via!r}", "one of: chat, generate")


async def run(
    endpoint: Endpoint,
    problems: ProblemSet,
    settings: Settings = Settings(),
    *,
    out: Path | None = None,
    on_progress: OnProgress | None = None,
) -> EvalReport:
    """Ask what `out` does not answer yet. Raises KitError for a twin, for a file of other
    questions, and for a server that is gone; the answers that came are kept."""
    refuse_twin(endpoint)
    head = header(endpoint, problems, settings)
    before = read_report(out) if out is not None and out.exists() and out.stat().st_size else None
    if before is not None:
        before.insist_on(head, out)
    answers = {one.id: one for one in before.answers} if before is not None else {}
    if out is not None and before is None:
        append_line(out, json.dumps(head, ensure_ascii=False))
    await _Asker(endpoint, problems, settings, answers, out, on_progress).run()
    return EvalReport(
        head, tuple(answers[one.id] for one in problems.problems if one.id in answers)
    )


def refuse_twin(endpoint: Endpoint) -> None:
    """Raises KitError for a twin."""
    if endpoint.kind == "twin":
        raise KitError(
            "no accuracy of a twin: its replies are authored, no model wrote them",
            "judge a model: kit serve cpu-pocket, then kit eval … --url http://127.0.0.1:30000",
        )


def header(endpoint: Endpoint, problems: ProblemSet, settings: Settings) -> dict[str, Any]:
    """The first line of a result: what makes two results comparable, and who answered."""
    return {
        "eval": problems.name,
        "problems": problems.digest,
        "asked": len(problems.problems),
        "source": problems.source,
        "licence": problems.licence,
        "notes": list(problems.notes),
        "model": endpoint.model,
        "sglang": endpoint.sglang,
        "settings": asdict(settings),
        "shots": len(problems.shots),
        "provenance": endpoint.provenance.to_json(),
    }


@dataclass
class _Asker:
    endpoint: Endpoint
    problems: ProblemSet
    settings: Settings
    answers: dict[str, Answered]
    out: Path | None
    on_progress: OnProgress | None
    failures: int = 0

    async def run(self) -> None:
        todo = [one for one in self.problems.problems if one.id not in self.answers]
        session = max((one.session for one in self.answers.values()), default=-1) + 1
        slots = asyncio.Semaphore(self.settings.concurrency)
        start_s = time.perf_counter()

        async def one(problem: Problem) -> None:
            async with slots:
                await self._one(problem, session, start_s)

        tasks = [asyncio.create_task(one(problem)) for problem in todo]
        try:
            await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _one(self, problem: Problem, session: int, start_s: float) -> None:
        asked_s = time.perf_counter() - start_s
        try:
            text, tokens, finish = await self._ask(problem)
        except EndpointError as error:
            self.failures += 1
            if self.failures >= max(_GIVE_UP, self.settings.concurrency):
                raise _gone(error, len(self.answers)) from error
            return
        self.failures = 0
        ended_s = time.perf_counter() - start_s
        predicted, right = judge(problem, text)
        answer = Answered(
            problem.id, problem.group, text, predicted, problem.answer, right, tokens, finish,
            round(asked_s, 3), round(ended_s, 3), session,
        )  # fmt: skip
        self.answers[problem.id] = answer
        if self.out is not None:
            append_line(self.out, json.dumps(asdict(answer), ensure_ascii=False))
        if self.on_progress is not None:
            rights = sum(one.right for one in self.answers.values())
            self.on_progress(len(self.answers), rights, len(self.problems.problems))

    async def _ask(self, problem: Problem) -> tuple[str, int | None, str | None]:
        """(text, output tokens, finish reason). Raises EndpointError."""
        if self.settings.via == "generate":
            return await self._generate(problem)
        params: dict[str, Any] = {
            "max_tokens": self.settings.max_tokens,
            "temperature": self.settings.temperature,
        }
        if self.settings.seed is not None:
            params["seed"] = self.settings.seed
        messages = [{"role": "user", "content": content(problem, self.problems.shots)}]
        stream = chat.stream(self.endpoint, messages, self.settings.thinking, **params)
        async for _ in stream:
            pass
        tokens = stream.usage.completion_tokens if stream.usage is not None else None
        return stream.answer, tokens, stream.finish_reason

    async def _generate(self, problem: Problem) -> tuple[str, int | None, str | None]:
        import openai

        if problem.images:
            raise EndpointError("/generate is asked for text alone", "take --via chat for pictures")
        body = {
            "text": gsm8k.prompt(problem, self.problems.shots),
            "sampling_params": {
                "max_new_tokens": self.settings.max_tokens,
                "temperature": self.settings.temperature,
                "stop": list(gsm8k.STOP),
            },
        }
        url = f"{self.endpoint.base_url}/generate"
        try:
            reply = await self.endpoint.async_client().post(url, cast_to=object, body=body)
        except openai.OpenAIError as error:
            raise EndpointError(
                f"{url}: {error}", "take --via chat, where it is not SGLang"
            ) from error
        try:
            meta = reply["meta_info"]  # type: ignore[index]
            finish = (meta.get("finish_reason") or {}).get("type")
            return str(reply["text"]), int(meta["completion_tokens"]), finish  # type: ignore[index]
        except (TypeError, KeyError, ValueError, AttributeError) as error:
            raise EndpointError(f"{url}: not SGLang's answer", "take --via chat") from error


def judge(problem: Problem, text: str) -> tuple[str | None, bool]:
    """(what the text answers, whether that is right). None is invalid: no answer in it."""
    if problem.kind == "choice":
        said = extract.letter(text, problem.options)
        return said, said == problem.answer.strip().upper()
    if problem.kind == "open":
        said = text.strip() or None
        return said, said is not None and mmmu.matches(text, problem.answer)
    found = extract.last_integer(text) if problem.kind == "integer" else extract.number(text)
    if found is None:
        return None, False
    return f"{found}", Decimal(found) == Decimal(problem.answer)


def content(problem: Problem, shots: tuple[Problem, ...]) -> Any:
    """The user's message: text, or parts where the problem has pictures."""
    if problem.kind in ("integer", "number") and not problem.images:
        return gsm8k.prompt(problem, shots) if shots else problem.question
    text = mmmu.prompt(problem)
    if not problem.images:
        return text
    images = [{"type": "image_url", "image_url": {"url": url}} for url in problem.images]
    return [*images, {"type": "text", "text": text}]


def _gone(error: EndpointError, kept: int) -> KitError:
    return KitError(
        f"the server stopped answering after {kept} answers: {error.what}",
        "they are kept: start the server, and the same command goes on where it was",
    )
