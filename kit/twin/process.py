"""Starting a twin: in a process of its own that ends with this one, in one for several
(`kit.twin.shared`), or here.

    kernel ──stdin (a pipe without content)──▶ python -m kit.twin … --parent-stdin
           ◀─stdout: {"url": …, "port": …, "pid": …}

The pipe closes when the kernel ends, however it ends; then the twin reads the end of file, and
ends too.
"""

from __future__ import annotations

import asyncio
import errno
import gc
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Collection
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from kit.errors import InvalidValue, KitError, LaunchError
from kit.hardware import SGLANG
from kit.parent import wait_for_its_end

if TYPE_CHECKING:
    from kit.twin.keys import Keys

IDLE_MINUTES = "KIT_TWIN_IDLE_MINUTES"
START_TIMEOUT_S = 20.0
_IDLE_MINUTES = 120.0
_SWITCH_S = 0.0005  # how long a thread may keep the event loop waiting; Python's own is 5 ms
_TAKEN = 98  # the exit code for a port that somebody else has
_REFUSED = 2  # for anything else that its reader can mend


class TwinProcess:
    """A twin in a process of its own. `url` is without /v1."""

    def __init__(self, process: subprocess.Popen[bytes], url: str) -> None:
        self.url = url
        self.pid = process.pid
        self._process = process
        self._owner = os.getpid()

    @property
    def alive(self) -> bool:
        """Whether it runs and belongs to this process (and not to the parent of a fork)."""
        return self._owner == os.getpid() and self._process.poll() is None

    def close(self) -> None:
        """End it, and wait until it has ended."""
        if self._owner != os.getpid():
            return
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()
        try:
            self._process.wait(2)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def start(
    profile: str = "h200x8",
    speed: float = 1.0,
    sglang: str = SGLANG,
    port: int = 0,
    fault: str | None = None,
    served_model_name: str | None = None,
) -> TwinProcess:
    """Start a twin and wait until it answers; port 0 takes a free one.

    Raises LaunchError where it does not start: the port is taken, or what its log says.
    """
    argv = ["--parent-stdin", *_arguments(profile, speed, sglang), "--port", str(port)]
    argv += ["--fault", fault] if fault else []
    argv += ["--served-model-name", served_model_name] if served_model_name else []
    process, where = _launched(argv, subprocess.PIPE, port)
    return TwinProcess(process, where["url"])


def start_shared(profile: str, speed: float, sglang: str) -> dict[str, Any]:
    """Start a twin that ends when nobody holds it (`kit.twin.shared`), and wait until it answers.

    Returns its url, port, pid and key. Raises as `start`.
    """
    argv = ["--shared", *_arguments(profile, speed, sglang)]
    process, where = _launched(argv, subprocess.DEVNULL)
    assert process.stdout is not None
    process.stdout.close()
    # its end is awaited in the background, for it would stay in the list of processes
    threading.Thread(target=process.wait, name="twin", daemon=True).start()
    return where


def _arguments(profile: str, speed: float, sglang: str) -> list[str]:
    return ["--profile", profile, "--speed", repr(speed), "--sglang", sglang]


def _launched(
    arguments: list[str], stdin: int, port: int = 0
) -> tuple[subprocess.Popen[bytes], dict[str, Any]]:
    """The process, and what it says once it answers: url, port, pid."""
    with tempfile.TemporaryFile() as log:
        # A session of its own: Ctrl-C and Jupyter's Stop are meant for the cell alone.
        process = subprocess.Popen(
            [sys.executable, "-m", "kit.twin", *arguments],
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=log,
            start_new_session=True,
        )
        assert process.stdout is not None
        watchdog = threading.Timer(START_TIMEOUT_S, process.kill)
        watchdog.daemon = True
        watchdog.start()
        try:
            line = process.stdout.readline()
            if line:
                return process, json.loads(line)
        except BaseException:  # Ctrl-C, most of all
            process.kill()
            process.wait()
            raise
        finally:
            watchdog.cancel()
        raise _failure(process.wait(), log, port)


def _failure(code: int, log: IO[bytes], port: int) -> LaunchError:
    """Why it did not start: its own two lines where it wrote them, else the end of its log."""
    if code == _TAKEN:
        return _taken(port)
    log.seek(0)
    tail = [line for line in log.read().decode("utf-8", "replace").splitlines() if line.strip()]
    if code == _REFUSED and len(tail) > 1:
        return LaunchError(f"the twin did not start: {tail[-2]}", tail[-1].removeprefix("→ "))
    why = "; ".join(tail[-3:]) or f"it ended with code {code}, without a message"
    return LaunchError(f"the twin did not start: {why}", "see its whole output: kit twin")


def _taken(port: int) -> LaunchError:
    return LaunchError(
        f"port {port} is taken by another program", "take a free one: kit twin --port 0"
    )


def listen(port: int) -> socket.socket:
    """A socket on 127.0.0.1. Raises LaunchError where the port is taken or not allowed."""
    # With the protocol named, asyncio sets TCP_NODELAY; without it a stream waits 40 ms.
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    if os.name == "posix":
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        sock.bind(("127.0.0.1", port))
    except (OSError, OverflowError) as problem:
        sock.close()
        if getattr(problem, "errno", None) == errno.EADDRINUSE:
            raise _taken(port) from problem
        raise LaunchError(f"port {port}: {problem}", "take a free one: --port 0") from problem
    return sock


def serve(
    profile: str,
    ready: Callable[[dict[str, Any]], None],
    port: int,
    shared: bool = False,
    **options: Any,
) -> None:
    """Serve a twin in this process until it is interrupted, or a shared one until nobody holds it;
    `options` are those of `Twin`.

    `ready` is called with url, port and pid, and a shared one's key, as soon as it answers. Raises
    KitErrors: a profile or fault that does not exist, a port that is taken.
    """
    gc.disable()  # while modules are loaded: there is no garbage yet
    sock = listen(port)
    port = sock.getsockname()[1]

    import uvicorn

    from kit.twin import workers
    from kit.twin.app import app
    from kit.twin.connection import KEEP_ALIVE_S, Connection, sweep
    from kit.twin.engine import new_event_loop
    from kit.twin.holders import Holders
    from kit.twin.server import Twin
    from kit.twin.tokenizer import vocabulary

    vocabulary()  # takes most of the start; the first answer needs it
    holders = Holders(_idle_s()) if shared else None
    twin = Twin(profile, port=port, holders=holders, **options)
    config = uvicorn.Config(
        app(twin),
        log_level="critical",
        access_log=False,
        lifespan="on",
        http=Connection,
        ws="none",
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=1,
        backlog=4096,
    )

    class Server(uvicorn.Server):
        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets)
            self.tasks = [asyncio.create_task(sweep(self.server_state.connections))]
            where = {"url": f"http://127.0.0.1:{port}", "port": port, "pid": os.getpid()}
            if holders:
                holders.end = lambda: setattr(self, "should_exit", True)
                self.tasks.append(asyncio.create_task(holders.watch(lambda: twin.engine.busy)))
                where["key"] = holders.key
            if self.started:
                ready(where)
            threading.Thread(target=_load_generations, name="loading", daemon=True).start()

    sys.setswitchinterval(_SWITCH_S)
    loop = new_event_loop()
    try:
        loop.run_until_complete(Server(config).serve([sock]))
    finally:
        workers.stop()
        loop.close()
        sock.close()


def _idle_s() -> float:
    """How long a shared twin without a request stays, though it is held."""
    try:
        return 60 * float(os.environ.get(IDLE_MINUTES) or _IDLE_MINUTES)
    except ValueError:
        return 60 * _IDLE_MINUTES


def _load_generations() -> None:
    """Load what only generations need, while the first questions are about the server."""
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")  # it would search for some
    try:
        from kit.twin import chat_completions, chat_format, completions  # noqa: F401

        chat_format.template()
    finally:
        gc.freeze()  # what is loaded stays: looking through it again would only cost time
        gc.enable()


def serve_here(
    profile: str = "h200x8",
    port: int = 30000,
    speed: float = 1.0,
    sglang: str = SGLANG,
    fault: str | None = None,
    served_model_name: str | None = None,
    allowed_hosts: Collection[str] = (),
    keys: Path | None = None,
    key_limit: int | None = None,
) -> int:
    """`kit twin`: print the address, and serve until Ctrl-C. Returns 0. Raises KitErrors."""
    shared_by = _keys(keys, key_limit)

    def ready(where: dict[str, Any]) -> None:
        print(f"twin of SGLang {sglang} on {profile}, clock ×{speed:g}, at {where['url']}")
        print("its replies are authored: no score of an evaluation says anything of a model")
        if shared_by:
            print(f"keys: {keys}, {shared_by.most_at_once} requests at once each; used: /metrics")
        print(f"connect: kit.connect({where['url']!r})    stop: Ctrl-C", flush=True)

    try:
        options: dict[str, Any] = {"fault": fault, "served_model_name": served_model_name}
        options |= {"speed": speed, "sglang": sglang, "allowed_hosts": allowed_hosts}
        serve(profile, ready, port, keys=shared_by, **options)
    except KeyboardInterrupt:
        print("\nstopped")
    return 0


def _keys(file: Path | None, limit: int | None) -> Keys | None:
    from kit.twin.keys import MOST_AT_ONCE, Keys

    if file is not None:
        return Keys(file, MOST_AT_ONCE if limit is None else limit)
    if limit is not None:
        raise InvalidValue("a limit of each key, but no keys", "name their file: --keys FILE")
    return None


def main(arguments: dict[str, Any], parent_stdin: bool) -> int:
    """`python -m kit.twin`: print the address as a line of JSON, and serve."""

    def ready(where: dict[str, Any]) -> None:
        if parent_stdin or arguments["shared"]:  # not before: uvicorn has just set its own handler
            signal.signal(signal.SIGINT, signal.SIG_IGN)
        print(json.dumps(where), flush=True)

    if parent_stdin:
        _die_with_parent()
    try:
        serve(**arguments, ready=ready)
    except KitError as problem:
        print(problem, file=sys.stderr)
        taken = isinstance(problem, LaunchError) and "is taken" in problem.what
        return _TAKEN if taken else _REFUSED
    except KeyboardInterrupt:
        pass
    return 0


def _die_with_parent() -> None:
    """End with the parent."""

    def watch() -> None:
        wait_for_its_end()
        os._exit(0)

    threading.Thread(target=watch, name="parent", daemon=True).start()
