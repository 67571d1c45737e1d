"""A server's whole life: started, followed, diagnosed, adopted, stopped.

    server = start(launch_plan(profile("h200x8")), on_event=print)
    print(server.report())
    server.stop()

A server of a launch plan outlives the process that started it, is found again by `adopt`, and
ends by `stop`. One on a CPU (`kit.server.cpu`) ends with the process that started it.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

from kit import http
from kit.errors import InvalidValue, KitError, LaunchError
from kit.hardware import SGLANG, profile
from kit.launch import HTTP_PORT, KEY_VARIABLE, LaunchPlan, launch_plan
from kit.provenance import Provenance, measured
from kit.server import cpu, log, preflight, registry
from kit.server.command import ServerCommand, of_plan
from kit.server.failures import Finding, LogReader, diagnose
from kit.server.log import Ledger, LogEvent
from kit.server.log_text import numbered
from kit.server.processes import end_group, run, started
from kit.text_file import write_text

PATIENCE_S = 30.0
_POLL_S = 0.2
_LONGEST_LINE = 1 << 20  # characters

OnEvent = Callable[[LogEvent], None]


@dataclass
class Server:
    """A server that runs, or ran. `entry` is None where the kit did not start it."""

    title: str
    url: str
    entry: registry.Entry | None = None
    command: ServerCommand | None = None
    process: subprocess.Popen[bytes] | None = None
    _read_to: int = 0
    _rest: str = ""
    _reader: LogReader = field(default_factory=LogReader, repr=False, compare=False)

    @property
    def port(self) -> int:
        return int(self.url.rsplit(":", 1)[1])

    @property
    def log(self) -> Path | None:
        return Path(self.entry.log) if self.entry else None

    @property
    def group(self) -> int | None:
        """Its process group; None where the kit started none."""
        return self.entry.group if self.entry else None

    @property
    def running(self) -> bool:
        """Whether it is there: its process is, or a server that the kit did not start answers."""
        if self.process is not None:
            return self.process.poll() is None
        return self.entry.alive if self.entry else http.healthy(self.url)

    @property
    def ready(self) -> bool:
        """Whether it answers requests now."""
        return http.healthy(self.url)

    def follow(self, deadline_s: float | None = None) -> Iterator[LogEvent]:
        """The events of its start-up log as they come, until it is ready.

        Raises LaunchError with what the log shows when it ends or takes too long; in the latter
        case it is stopped.
        """
        if deadline_s is None:
            deadline_s = self.command.deadline_s if self.command else PATIENCE_S
        until = time.monotonic() + deadline_s
        while True:
            running = self.running  # before the log is read, so that its last lines are too
            read_to = self._read_to
            yield from self._new_events()
            if running and self.ready:
                yield from self._new_events()
                return
            if not running:
                raise self.failed(f"{self.title} ended while it was starting")
            if self._read_to > read_to and any(f.stays for f in self._reader.diagnosis().findings):
                self.stop(patience_s=0.0)
                raise self.failed(f"{self.title} cannot come up")
            if time.monotonic() > until:
                self.stop()
                raise self.failed(f"{self.title} was not ready after {deadline_s:,.0f} s")
            time.sleep(_POLL_S)

    def wait(self, on_event: OnEvent | None = None, deadline_s: float | None = None) -> Server:
        """Follow it until it is ready, and record what it is. Raises as `follow`."""
        for event in self.follow(deadline_s):
            if on_event:
                on_event(event)
        registry.forget_key(self.port)
        if self.log is not None:
            try:
                write_text(self.log.with_suffix(".json"), json.dumps(self.record(), indent=1))
            except KitError as problem:  # a server that took an hour to load is not ended for that
                warnings.warn(problem.what, stacklevel=2)
        return self

    def _new_events(self) -> Iterator[LogEvent]:
        if self.log is None:
            return
        with self.log.open("rb") as stream:
            stream.seek(self._read_to)
            new = stream.read()
        self._read_to += len(new)
        text = self._rest + new.decode("utf-8", "replace")
        end = max(text.rfind("\n"), text.rfind("\r")) + 1
        if len(text) - end > _LONGEST_LINE:  # it does not end: what came of it is a line
            end = len(text)
        self._rest = text[end:]
        for line in numbered([text[:end]]):
            self._reader.take(line)
            yield from log.events([line.text])

    def failed(self, what: str) -> LaunchError:
        """The error to raise: what happened, and what its log shows."""
        found = [f for f in self.diagnose() if not f.serves]
        if found:
            return LaunchError(f"{what}: {found[0].cause}", found[0].remedies[0])
        return LaunchError(what, f"its last lines say why: tail -50 {self.log}")

    def log_text(self) -> str:
        """All it has printed."""
        return self.log.read_text("utf-8", "replace") if self.log and self.log.exists() else ""

    def diagnose(self) -> tuple[Finding, ...]:
        """What its log shows to be wrong, and what to change."""
        return diagnose(self.log_text())

    def ledger(self) -> Ledger:
        """What it says it did with its memory."""
        return log.ledger(log.read(self.log_text()))

    def info(self) -> dict[str, Any]:
        """`/server_info` without its keys; empty where it does not answer."""
        answer = http.get_json(self.url, "/server_info", os.environ.get(KEY_VARIABLE))
        return http.masked(answer, os.environ.get(KEY_VARIABLE)) if isinstance(answer, dict) else {}

    @property
    def model(self) -> str | None:
        """The name under which its model is asked for."""
        return http.served_model(self.url, os.environ.get(KEY_VARIABLE))

    @property
    def provenance(self) -> Provenance:
        """What a figure measured on it is worth."""
        version = self.info().get("version") or (self.command.sglang if self.command else "?")
        machine = self.command.source if self.command else "somebody else's server"
        if self.command and self.command.gpus and (driver := preflight.driver()):
            machine = str(driver)
        return measured(f"{self.title}, SGLang {version}, {machine}")

    def record(self) -> dict[str, Any]:
        """Everything that says which server this was: command, versions, driver, its own info."""
        driver = preflight.driver()
        return {
            "title": self.title,
            "url": self.url,
            "argv": list(self.command.argv) if self.command else None,
            "env": dict(self.command.env) if self.command else None,
            "log": str(self.log) if self.log else None,
            "driver": str(driver) if driver else None,
            "model": self.model,
            "server_info": self.info(),
            "provenance": self.provenance.to_json(),
        }

    def report(self) -> str:
        """The ledger that the server reports beside the plan's, and its provenance."""
        held, plan = self.ledger(), self.command.memory if self.command else None
        rows = log.table(held.beside(plan) if plan else held.alone())
        return f"{rows}\n{self.provenance.short}"

    def stop(self, patience_s: float = PATIENCE_S) -> None:
        """End it and everything it started. Raises LaunchError for a server that is not ours."""
        if self.entry is None:
            raise LaunchError(
                f"the server at {self.url} was not started by this kit",
                "end it where it was started",
            )
        if self.entry.stop_argv:
            with suppress(OSError, KitError):
                run(self.entry.stop_argv, 60)
        gone = end_group(self.entry.group, patience_s)
        if self.process is not None:
            if self.process.stdin:
                self.process.stdin.close()
            self.process.wait()
        registry.forget(self.port)
        if not gone:
            raise LaunchError(f"{self.title} does not end", f"kill -9 -{self.entry.group}")

    def __enter__(self) -> Server:
        return self

    def __exit__(self, *exception: object) -> None:
        self.stop()

    def __str__(self) -> str:
        state = "ready" if self.ready else "starting" if self.running else "ended"
        return f"{self.title} at {self.url}: {state}"


def command_for(
    name: str,
    *,
    sglang: str | None = None,
    port: int = HTTP_PORT,
    docker: bool = False,
    mtp: bool = True,
) -> ServerCommand:
    """What is started for the name of a profile, or of a model on a CPU (`cpu.MODELS`).

    Raises UnknownName for another name; for a model on a CPU InvalidValue for another SGLang than
    the pinned one and for a container, and LaunchError as `cpu.pocket` does.
    """
    if name in cpu.MODELS:
        if sglang not in (None, cpu.SGLANG_PINNED):
            raise InvalidValue(f"SGLang {sglang}", f"{cpu.SGLANG_PINNED}: {name} runs no other")
        if docker:
            raise InvalidValue("--docker", f"none: {name} runs in its own environment, as it is")
        return cpu.pocket(port, steps=cpu.POCKET_STEPS if mtp else 0)
    chosen = profile(name) if mtp else replace(profile(name), mtp=None)
    return of_plan(launch_plan(chosen, sglang=sglang or SGLANG, port=port), docker=docker)


def launch(what: LaunchPlan | ServerCommand, *, log: Path | None = None) -> Server:
    """Start a server and return at once; `follow` or `wait` watch it come up.

    Raises LaunchError before anything is started where the program, the port,
    the GPUs, the weights or the disk do not suffice.
    """
    command = of_plan(what) if isinstance(what, LaunchPlan) else what
    preflight.insist(preflight.preflight(command))
    path = log or registry.private_folder() / f"{command.title}-{command.port}.log"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        output = path.open("wb")
        path.chmod(0o600)  # SGLang prints its key into it
    except OSError as problem:
        hint = "give its folder room and permission; XDG_STATE_HOME names another"
        raise LaunchError(f"{path} was not opened: {problem.strerror}", hint) from problem
    argv = _with_key(command)
    if not command.outlives:
        argv = [sys.executable, "-m", "kit.server.supervisor", *argv]
    with output:
        process = subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL if command.outlives else subprocess.PIPE,
            stdout=output,
            stderr=subprocess.STDOUT,
            env={**os.environ, **dict(command.env)},
            start_new_session=True,
        )
    entry = registry.Entry(
        title=command.title,
        url=command.url,
        port=command.port,
        group=process.pid,
        group_started=started(process.pid) or "",
        log=str(path),
        stop_argv=command.stop_argv,
    )
    server = Server(command.title, command.url, entry, command, process)
    try:
        registry.note(entry)
    except BaseException as problem:  # nobody would know of it, and end it
        server.stop(patience_s=0.0)
        if isinstance(problem, KitError):
            raise LaunchError(f"{command.title} was ended: {problem.what}", problem.hint) from None
        raise
    return server


def _with_key(command: ServerCommand) -> list[str]:
    """The command with the key in a file of its own, which SGLang reads by `--config`: whoever is
    on this machine may list its processes."""
    argv, asked = list(command.argv), ("--api-key", f"${KEY_VARIABLE}")
    at = next((i for i, pair in enumerate(pairwise(argv)) if pair == asked), None)
    if at is not None:
        file = registry.keep_key(command.port, _key())
        argv[at : at + 2] = ["--config", str(file)]
        if command.stop_argv:  # a container finds it at the same place
            argv[2:2] = ["--volume", f"{file}:{file}:ro"]
    return argv


def _key() -> str:
    key = os.environ.get(KEY_VARIABLE)
    if not key:
        raise LaunchError(
            "the plan asks for an API key and there is none", f"export {KEY_VARIABLE}=…"
        )
    return http.checked_key(key)


def start(
    what: LaunchPlan | ServerCommand,
    *,
    log: Path | None = None,
    on_event: OnEvent | None = None,
    deadline_s: float | None = None,
) -> Server:
    """Start a server and wait until it is ready. Raises LaunchError with the log's diagnosis."""
    server = launch(what, log=log)
    try:
        return server.wait(on_event, deadline_s)
    except BaseException:
        server.stop()
        raise


def adopt(url: str) -> Server:
    """Take over a server that runs already, whoever started it.

    Raises LaunchError where nothing answers.
    """
    url = url.rstrip("/").removesuffix("/v1")
    ours = next((server for server in running() if server.url == url), None)
    if ours is not None:
        return ours
    model = http.served_model(url, os.environ.get(KEY_VARIABLE))
    if model is None:
        raise LaunchError(f"no server answers at {url}", "kit serve PROFILE starts one")
    return Server(model, url)


def running() -> tuple[Server, ...]:
    """The servers of this kit that run on this machine, whoever started them."""
    return tuple(Server(entry.title, entry.url, entry) for entry in registry.running())


def stop(port: int | None = None) -> tuple[str, ...]:
    """End the servers of this kit, or the one on `port`; says which ended."""
    ended = []
    for server in running():
        if port is None or server.port == port:
            server.stop()
            ended.append(f"{server.title} at {server.url}")
    return tuple(ended)
