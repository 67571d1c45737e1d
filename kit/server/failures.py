"""A server's log → what went wrong, and what to change, flag by flag.

    >>> diagnose(Path("server.log").read_text())[0].remedies[0]
    'raise --mem-fraction-static: the share left after the weights is too small'

The same exception means different things at different stages, so the log is
read from the top: what the server prints, or the functions in a traceback, say
how far it has come. Pure. What is known is data (data/failures.toml): for each
failure the line that shows it, and the released file in which that line stands.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from kit.server.known_failures import (
    Engine,
    Failure,
    engines,
    excusable,
    failures,
    parts,
    sglang,
    specific_first,
    troubleshooting,
)
from kit.server.log import Stage, event_in, frames, of_later_rank
from kit.server.log_text import Line, numbered, seen

__all__ = ["Diagnosis", "Failure", "Finding", "LogReader", "diagnose", "examine", "failures"]

_KEPT = 8  # last lines that are kept for who finds no cause
_KINDS = 50_000  # kinds of lines that are remembered
_INNERMOST = 2  # parts of the server that are asked of one traceback; the more general gives way
_FAR = 3  # stages: who came that much further did not end by an early error
_DIGITS = dict.fromkeys(map(ord, "0123456789"))
_LONG_NUMBERS = re.compile(r"\d{4,}|\d+[:.]\d[\d:.]*")
_STAMPED = re.compile(r"\[\d{4}-\d\d-\d\d \d\d:\d\d:\d\d")
_FRAME = re.compile(r'File "[^"]+", line \d+, in ')
_ASKED = re.compile(
    r"\b(?:Receive|Receive OpenAI|Finish): obj="
)  # --log-requests: what users wrote
_ERROR = re.compile(r"(?:Error|Exception|[Ee]rror|ERROR|[Ff]atal|[Kk]illed|[Aa]borted|[Ff]ailed)\b")
_HARMLESS = re.compile(r"Ignore import error|[Ff]alling back|(?:User|Future|Deprecation)Warning")
_SERVES = re.compile(r"\b(?:Prefill|Decode) batch, #")  # all that is left where a log was cut off
_ERROR_ENDS = ("rror", "RROR", "ption", "atal", "lled", "orted", "ailed")  # asked first: cheaper
_ENDED = re.compile(
    r"Received sigquit from a child|hit an exception|died during initialization|core dumped"
    r"|Fatal Python error|terminated with -?\d|Initialization failed|(?:^|[\s|:\]])Killed\s*$"
)
_VERSION = re.compile(r"\bsglang(?:==|-|:v|/v| version:? ?v?)(\d+\.\d+\.\d+(?:\.post\d+)?)", re.I)


@dataclass(frozen=True)
class Finding:
    """A failure found in a log: its cause in words, the line that shows it, what to change."""

    id: str
    cause: str
    line: str
    remedies: tuple[str, ...]
    source: str
    serves: bool
    stays: bool
    number: int = 0
    docs: str = ""
    stage: Stage = Stage.UNKNOWN
    priority: int = 0
    outlived: bool = False

    def __str__(self) -> str:
        steps = "\n".join(f"  → {remedy}" for remedy in self.remedies)
        return f"{self.cause}\n{steps}\n  log: {self.line}\n  source: {self.source}"

    def to_json(self) -> dict[str, Any]:
        """Everything a script may want, under plain names."""
        return {
            "id": self.id,
            "cause": self.cause,
            "phase": self.stage.name.lower(),
            "line": self.line,
            "line_number": self.number,
            "change": list(self.remedies),
            "documented": self.docs,
            "source": self.source,
            "serves": self.serves,
        }

    @property
    def rank(self) -> tuple[bool, bool, int, int]:
        """Sorts findings: what ended the server, the specific before the general, the earlier."""
        return (self.serves, self.outlived, -self.priority, self.number)


@dataclass(frozen=True)
class Diagnosis:
    """What a log shows: whose it is, how far the server came, what went wrong.

    `ended` says that a process of the server ended by an error. `last_lines` are
    the last that speak of an error, or simply the last.
    """

    engine: Engine | None
    version: str | None
    stage: Stage
    ended: bool
    findings: tuple[Finding, ...]
    last_lines: tuple[Line, ...]

    @property
    def serves(self) -> bool:
        """Whether it is the log of a server that answers."""
        fatal = any(not finding.serves for finding in self.findings)
        return self.stage is Stage.SERVING and not self.ended and not fatal

    @property
    def troubleshooting(self) -> str:
        """The page on troubles of the program and version that wrote the log."""
        if self.engine and self.engine is not sglang():
            return self.engine.docs
        return troubleshooting(self.version)

    def to_json(self) -> dict[str, Any]:
        """What `kit diagnose --json` prints."""
        return {
            "server": self.engine.name if self.engine else None,
            "version": self.version,
            "phase": self.stage.name.lower(),
            "about": self.stage.about,
            "serves": self.serves,
            "causes": [finding.to_json() for finding in self.findings],
            "last_lines": [f"{line.number}: {line.text[:300]}" for line in self.last_lines],
            "troubleshooting": self.troubleshooting,
        }

    def __str__(self) -> str:
        return "\n".join([self._headline(), *self._causes(), *self._unexplained()])

    def _headline(self) -> str:
        name = (
            f"{self.engine.name if self.engine else 'unknown server'} {self.version or ''}".strip()
        )
        if self.engine and self.engine is not sglang():
            return (
                f"a log of {self.engine.name}, not of SGLang: only what concerns the machine is "
                f"known here\n  documented: {self.engine.docs}"
            )
        return f"{name} · reached: {self.stage.about}"

    def _causes(self) -> Iterator[str]:
        if self.serves:
            yield "it serves: nothing in this log ended it"
        for rank, finding in enumerate(self.findings):
            what = (
                "worse than it could be" if finding.serves else "most likely" if not rank else "or"
            )
            yield f"\n{what}: {finding.cause}"
            yield from (f"  → {remedy}" for remedy in finding.remedies)
            yield f"  line {finding.number}: {finding.line}"
            yield f"  documented: {finding.docs or finding.source}"
            if finding.docs:
                yield f"  source: {finding.source}"

    def _unexplained(self) -> Iterator[str]:
        if self.findings or self.serves:
            return
        if self.ended or any(_ERROR.search(line.text) for line in self.last_lines):
            yield "no cause that is known; its last lines that speak of an error:"
        else:
            yield "nothing in this log ended it, and it is not ready yet; its last lines:"
        yield from (f"  line {line.number}: {line.text[:300]}" for line in self.last_lines)
        yield f"  → {self.troubleshooting}"


def diagnose(log: str | Iterable[str]) -> tuple[Finding, ...]:
    """The failures that a log shows, those that ended the server first; each once.

    Empty when nothing is known of it: read the last lines then.
    """
    if isinstance(log, str):
        return examine(numbered([log])).findings
    return examine(Line(number, text) for number, text in enumerate(log, start=1)).findings


def examine(lines: Iterable[Line]) -> Diagnosis:
    """Everything that a log shows. It is read once, in memory that does not grow with it."""
    reader = LogReader()
    for line in lines:
        reader.take(line)
    return reader.diagnosis()


@dataclass
class _Run:
    """One start of the server: a log may hold several.

    `stage` is the last that the server's own lines gave, `reached` the furthest,
    `traceback` the one that the functions in the present traceback give; `parts` are
    the parts of the server that it comes by, the innermost last.
    """

    stage: Stage = Stage.UNKNOWN
    reached: Stage = Stage.UNKNOWN
    traceback: Stage | None = None
    parts: tuple[str, ...] = ()
    ended: bool = False
    found: dict[str, Finding] = field(default_factory=dict)
    excused: set[str] = field(default_factory=set)

    @property
    def begun(self) -> bool:
        return bool(self.found) or self.ended or self.reached > Stage.START

    @property
    def now(self) -> Stage:
        """Where an error in the present line belongs."""
        return self.stage if self.traceback is None else self.traceback


class LogReader:
    """Reads a log line by line; what it keeps does not grow with the log."""

    def __init__(self) -> None:
        self._run = _Run()
        self._before: _Run | None = None  # the last run that shows a failure
        self._engine: Engine | None = None
        self._version: str | None = None
        self._kinds: dict[tuple[object, ...], bool] = {}  # lines alike → whether they move it on
        self._errors: deque[Line] = deque(maxlen=_KEPT)
        self._last: deque[Line] = deque(maxlen=_KEPT)

    def take(self, line: Line) -> None:
        line = Line(line.number, seen(line.text))
        self._last.append(line)
        if _ASKED.search(line.text):
            return
        error = any(end in line.text for end in _ERROR_ENDS) and bool(_ERROR.search(line.text))
        if error and not _HARMLESS.search(line.text):
            self._errors.append(line)
        shape = _LONG_NUMBERS.sub("", line.text) if error else line.text.translate(_DIGITS)
        kind = (self._run.now, self._run.parts, shape)
        known = self._kinds.get(kind)
        moves = known is not False and self._moves(line.text)
        if known is None:
            self._match(line)
            if len(self._kinds) > _KINDS:
                self._kinds.clear()
            self._kinds[kind] = moves

    def _moves(self, text: str) -> bool:
        """Note what the line says of whose log it is and how far the server is; whether it did."""
        self._recognise(text)
        run = self._run
        if "Traceback (most recent call last)" in text:
            run.traceback, run.parts = None, ()
            return True
        if _FRAME.search(text):
            self._passes(text)
            return True
        if (run.traceback is not None or run.parts) and _STAMPED.search(text):
            run.traceback, run.parts = None, ()
        return self._reaches(text)

    def _passes(self, frame: str) -> None:
        """Note where a traceback comes by: the outermost function counts, within the MTP head's
        set-up a later one."""
        run = self._run
        stage = next((f.stage for f in frames() if f.pattern.search(frame)), None)
        within = run.traceback is Stage.DRAFT and stage in (Stage.LOADED, Stage.POOLS, Stage.GRAPHS)
        if stage is not None and (run.traceback is None or within):
            run.traceback = stage
        part = next((part.id for part in parts().values() if part.arose(frame, run.now)), None)
        if part:
            run.parts = (*(name for name in run.parts if name != part), part)

    def _recognise(self, text: str) -> None:
        if self._engine is None or self._engine is not sglang():
            found = next((engine for engine in engines() if engine.pattern.search(text)), None)
            if found and (self._engine is None or found is sglang()):
                self._engine = found
        if self._version is None and (version := _VERSION.search(text)):
            self._version = version[1]

    def _reaches(self, text: str) -> bool:
        event = event_in(text)
        if event is None:
            return self._served_before(text)
        self._engine = sglang()
        if event.stage is None:
            return True
        stage = event.stage
        if stage <= self._run.stage and of_later_rank(text):
            return True  # a rank behind the others, or all that it shows is known
        if stage is Stage.START and self._run.begun:
            self._new_run()
        run = self._run
        if stage is Stage.WEIGHTS and run.reached >= Stage.LOADED:
            if event.percent is not None:
                return True
            stage = Stage.DRAFT
        run.stage, run.reached = stage, max(stage, run.reached)
        for failure, finding in list(run.found.items()):
            if stage is Stage.SERVING and not finding.serves:
                del run.found[failure]  # the server came up all the same
            elif stage > max(finding.stage, Stage.START) + _FAR:
                run.found[failure] = replace(finding, outlived=True)
        return True

    def _served_before(self, text: str) -> bool:
        """Whether all that is left of a log is the end: it was cut off in front."""
        if self._run.reached is not Stage.UNKNOWN or not _SERVES.search(text):
            return False
        self._engine = sglang()
        self._run.stage = self._run.reached = Stage.SERVING
        return True

    def _new_run(self) -> None:
        if any(not finding.serves for finding in self._run.found.values()):
            self._before = self._run
        self._run = _Run()
        self._kinds.clear()

    def _match(self, line: Line) -> None:
        if "server_args=" in line.text or "Ignore import error" in line.text:
            return
        run, text = self._run, line.text
        run.ended = run.ended or bool(_ENDED.search(text))
        run.excused |= {f.id for f in excusable() if f.unless and f.unless.search(text)}
        for failure in specific_first():
            if match := failure.match(text, run.now):
                run.found.setdefault(failure.id, _finding(failure, match, line, run.now))
                return
        near = [parts()[name] for name in run.parts[: -_INNERMOST - 1 : -1]]
        for failure in near:
            match = failure.match(text, run.now)
            if match and failure.priority == max(part.priority for part in near):
                run.found.setdefault(failure.id, _finding(failure, match, line, run.now))

    def diagnosis(self) -> Diagnosis:
        run = self._run
        if not run.found and run.reached is not Stage.SERVING and self._before:
            run = self._before
        known = {f.id for f in failures() if f.machine or self._is_sglang} - run.excused
        if run.reached is Stage.SERVING and not run.ended:
            known -= set(parts())  # a request's error: the server answers the others
        found = sorted(
            (finding for finding in run.found.values() if finding.id in known),
            key=lambda finding: finding.rank,
        )
        return Diagnosis(
            engine=self._engine,
            version=self._version,
            stage=run.reached,
            ended=run.ended,
            findings=tuple(found),
            last_lines=tuple(self._errors or self._last),
        )

    @property
    def _is_sglang(self) -> bool:
        return self._engine is None or self._engine is sglang()


def _finding(failure: Failure, match: re.Match[str], line: Line, stage: Stage) -> Finding:
    groups = match.groupdict()
    told = next(filter(None, groups.values()), "?")  # of several ways to say it one group is filled
    said = {name: value or told for name, value in groups.items()}
    return Finding(
        id=failure.id,
        cause=failure.cause.format(**said),
        line=line.text.strip()[:300],
        remedies=tuple(remedy.format(**said) for remedy in failure.remedies),
        source=failure.source,
        serves=failure.serves,
        stays=failure.stays,
        number=line.number,
        docs=failure.docs,
        stage=stage,
        priority=failure.priority,
    )
