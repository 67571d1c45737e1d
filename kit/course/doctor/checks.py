"""Ports, disk, memory, proxies, a server, docker, SGLang, the pocket model, checkpoints, a browser.

Each is a function of the machine; what it raises is for the caller to catch.
"""

from __future__ import annotations

import os
import platform
import sys
import tempfile
from pathlib import Path

from kit.course.doctor.machine import EVERY, SERVED, Finding, Machine, Status
from kit.course.lessons import NOTEBOOKS
from kit.endpoint import TWIN, base_url
from kit.errors import EndpointError, KitError
from kit.hardware import SGLANG
from kit.http import checked_key, get_json, shown
from kit.pocket import insist_on_released
from kit.server import cpu
from kit.server.preflight import cached_gb, hub_cache

GIB = 2**30
JUPYTER_PORT = 8888
PORTS = (30000, 8000, JUPYTER_PORT)  # SGLang's, that of other servers, and Jupyter's
ASKED_WITHIN_S = 0.5  # as long as `connect` waits for a port that nobody named
NAMED_WITHIN_S = 2.5
ENGINE_WITHIN_S = 2.0
LOOPBACK = {"localhost", "127.0.0.1"}
# Free space: a lesson's page and a picture's cache; the two environments of the course.
DISK_LEAST, DISK_WANTED = GIB // 8, 3 * GIB
# Memory: a kernel takes 0.3 GiB and the twin 0.1; JupyterLab and the rest of a page as much again.
MEMORY_LEAST, MEMORY_WANTED = GIB // 2, GIB
WHO = {"win32": "netstat -ano", "darwin": "lsof -nP -iTCP -sTCP:LISTEN"}.get(
    sys.platform, "ss -ltnp"
)


def loopback(machine: Machine) -> Finding:
    """Whether programs here can talk to each other: a kernel and the twin do over 127.0.0.1."""
    try:
        machine.loopback()
    except OSError as problem:
        remedy = "ip link set lo up; else a sandbox or a firewall forbids it: allow 127.0.0.1"
        return Finding("loopback", "fail", f"127.0.0.1: {problem}", remedy, EVERY)
    return Finding("loopback", "ok", "programs here can talk to each other; no more is needed")


def port(machine: Machine, number: int) -> Finding:
    """Who listens on a port where servers usually are. Nobody named it, so it gets no key."""
    name, url = f"port {number}", f"http://127.0.0.1:{number}"
    if not machine.listens(number):
        return Finding(name, "ok", "free")
    if number == JUPYTER_PORT:
        about = get_json(url, "/api", timeout_s=ASKED_WITHIN_S)
        who = "a Jupyter server" if isinstance(about, dict) and "version" in about else "a program"
        found = f"{who} listens there; kit lab takes the next free port"
        return Finding(name, "ok", found, f"kit lab -- --port {number + 11}")
    try:
        there = machine.ask(url, None, None, ASKED_WITHIN_S)
    except EndpointError as problem:
        remedy = f"give ours another (kit twin --port 0), or see whose it is: {WHO}"
        if "refused the key" in problem.what:
            remedy = f"to use it: export KIT_BASE_URL={url} KIT_API_KEY=…; whose it is: {WHO}"
        return Finding(name, "warn", f"taken, and no lesson takes it: {problem.what}", remedy)
    return Finding(name, "ok", f"{there}", serves=there.kind)


def endpoint(machine: Machine) -> Finding:
    """The server that KIT_BASE_URL names, asked as lessons ask it, with the key that is its."""
    named = machine.environ.get("KIT_BASE_URL", "")
    if not named:
        return Finding("server", "ok", "KIT_BASE_URL names none: one on port 30000 or 8000, or "
                       "the twin, which lessons start")  # fmt: skip
    if named == TWIN:
        return Finding("server", "ok", "the twin, as KIT_BASE_URL says", serves="twin")
    key = machine.environ.get("KIT_API_KEY") or None
    model = machine.environ.get("KIT_MODEL") or None
    try:
        url = base_url(named)
        there = machine.ask(url, checked_key(key) if key else None, model, NAMED_WITHIN_S)
    except KitError as problem:
        remedy = f"{problem.hint}; or go on with the twin: unset KIT_BASE_URL"
        return Finding("server", "fail", f"KIT_BASE_URL: {problem.what}", remedy, SERVED)
    return Finding("server", "ok", f"{there}, which KIT_BASE_URL names", serves=there.kind)


def notebooks(machine: Machine, folder: Path = NOTEBOOKS) -> Finding:
    """The lessons' own files."""
    there = {path.name[:2] for path in folder.glob("[0-9][0-9]_*.ipynb")}
    if missing := tuple(number for number in EVERY if number not in there):
        found = f"{', '.join(missing)} not in {folder}"
        remedy = "git checkout notebooks, in a clone; else install the course anew"
        return Finding("notebooks", "fail", found, remedy, missing)
    return Finding("notebooks", "ok", f"{len(there)} in {folder}")


def disk(machine: Machine, folder: Path = NOTEBOOKS) -> Finding:
    """Room where the lessons lie and where pages and logs go."""
    notebooks = next(path for path in (folder, *folder.parents) if path.exists())
    folders = {"notebooks": notebooks, "temporary files": Path(tempfile.gettempdir())}
    free = {what: machine.free_bytes(folder) for what, folder in folders.items()}
    what = min(free, key=lambda one: free[one])
    found = f"{free[what] / GIB:,.1f} GiB free for {what} ({folders[what]})"
    remedy = f"make room on the disk of {folders[what]}: old environments (make clean), "
    remedy += "checkpoints (kit doctor says where), or set TMPDIR to another disk"
    if free[what] < DISK_LEAST:
        return Finding("disk", "fail", found, remedy, EVERY)
    if free[what] < DISK_WANTED:
        return Finding("disk", "warn", f"{found}: no room for another environment", remedy)
    return Finding("disk", "ok", found)


def memory(machine: Machine) -> Finding:
    """Memory for a kernel and the twin."""
    free = machine.memory_bytes()
    found = f"{free / GIB:,.1f} GiB free"
    remedy = "end other programs, or kernels that idle (in Lab: Kernel, Shut Down All Kernels)"
    if free < MEMORY_LEAST:
        return Finding("memory", "fail", found, remedy, EVERY)
    if free < MEMORY_WANTED:
        return Finding("memory", "warn", f"{found}: one lesson at a time", remedy)
    return Finding("memory", "ok", found)


def proxies(machine: Machine) -> Finding:
    """Proxies in the environment, and whether they leave this machine's own addresses alone."""
    said = {name.lower(): value for name, value in machine.environ.items() if value}
    found = [
        f"{name.upper()}={shown(said[name])}"
        for name in ("http_proxy", "https_proxy", "all_proxy")
        if name in said
    ]
    if not found:
        return Finding("proxies", "ok", "none")
    left_alone = {name.strip() for name in said.get("no_proxy", "").lower().split(",")}
    if "*" in left_alone or left_alone.issuperset(LOOPBACK):
        return Finding("proxies", "ok", f"{', '.join(found)}; not for this machine")
    hosts = "localhost,127.0.0.1,::1"
    return Finding(
        "proxies",
        "warn",
        f"{', '.join(found)}, for this machine too: curl would ask the proxy for the twin "
        "(the kit does not)",
        f"export NO_PROXY={hosts} no_proxy={hosts}",
    )


def docker(machine: Machine) -> Finding:
    """The docker engine, for those who serve in a container."""
    if machine.which("docker") is None:
        return Finding("docker", "ok", "none: only kit serve --docker and compose want it")
    remedy = "start its engine (sudo systemctl start docker, Docker Desktop); no lesson needs it"
    try:
        said = machine.run(["docker", "info", "--format", "{{.ServerVersion}}"], ENGINE_WITHIN_S)
    except KitError as problem:
        return Finding("docker", "unknown", f"could not be checked: {problem.what}", remedy)
    version = said.text.strip().splitlines()
    if said.code == 0 and version and version[-1][:1].isdigit():
        return Finding("docker", "ok", f"engine {version[-1]}")
    lines = [line for line in said.errors.splitlines() if line.strip()]
    why = lines[0][:160] if lines else "no engine"
    return Finding("docker", "warn", f"the command is here; {why}", remedy)


def sglang(machine: Machine) -> Finding:
    """SGLang beside the kit, and the one for this CPU."""
    version = machine.installed("sglang")
    on_cpu = f"on this CPU {cpu.SGLANG_PINNED}" if cpu.installed() else ""
    found = ", ".join(filter(None, (version, on_cpu)))
    if not found:
        remedy = "make sglang-cpu" if _is_linux_x86() else ""
        more = f"its start is a recording; {remedy or 'SGLang'} makes it real"
        none = "none: lesson 03 shows a recording of its start"
        return Finding("SGLang", "ok", none, remedy, more=more, shows_more=("03",))
    if version and version != SGLANG:
        found += f"; commands are written for {SGLANG}"
        return Finding("SGLang", "ok", found, f"kit command PROFILE --sglang {version}")
    return Finding("SGLang", "ok", found)


def pocket(machine: Machine) -> Finding:
    """The pocket model in the twin: its weights, llama.cpp, the processor."""
    from kit.twin.llama_cpp import check_processor

    try:
        insist_on_released()
        check_processor()
    except KitError as problem:
        return _no_pocket(f"{problem.what}: the twin says so", problem.hint)
    if machine.installed("xllamacpp"):
        return Finding("pocket model", "ok", "runs in the twin")
    remedy = "make setup" if _is_linux_x86() else "connect to a model: KIT_BASE_URL"
    return _no_pocket("no llama.cpp here: the twin answers what its authors wrote", remedy)


def _no_pocket(found: str, remedy: str) -> Finding:
    status: Status = "warn" if _is_linux_x86() else "ok"  # elsewhere there is none to be had
    more = f"the pocket model does not answer here; {remedy}"
    return Finding("pocket model", status, found, remedy, more=more, shows_more=("11",))


def _is_linux_x86() -> bool:
    return (sys.platform, platform.machine()) == ("linux", "x86_64")


def checkpoints(machine: Machine) -> Finding:
    """Checkpoints in the cache of Hugging Face's tools."""
    cache = hub_cache()
    repos = sorted(folder.name for folder in cache.glob("models--*"))
    if not repos:
        return Finding("checkpoints", "ok", f"none in {cache}")
    names = [name.removeprefix("models--").replace("--", "/") for name in repos]
    sizes = {name: cached_gb(name) for name in names}
    ours = ", ".join(f"{n} {gb:,.1f} GB" for n, gb in sizes.items() if "qwen3.5" in n.lower())
    more = f"; of Qwen3.5: {ours}" if ours else ""
    total = sum(sizes.values())
    return Finding("checkpoints", "ok", f"{len(sizes)} in {cache}, {total:,.1f} GB{more}")


def browser(machine: Machine) -> Finding:
    """A chromium for the browser tests. The course itself opens in any browser."""
    names = ("chromium", "chromium-browser", "google-chrome", "chrome")
    found = next((path for name in names if (path := machine.which(name))), None)
    if found:
        return Finding("browser for tests", "ok", found)
    remedy = "apt-get install chromium" if os.name == "posix" else ""
    return Finding("browser for tests", "ok", "none: only make test-browser wants one", remedy)
