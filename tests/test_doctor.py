"""`kit doctor`: parts broken on purpose, each with its remedy; none of them breaks the doctor."""

import json
import socket
import subprocess
import sys
import time
import tomllib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest
from servers import Handler, Server

from kit.cli import main
from kit.course.doctor import Finding, Machine, Report, checks, examine, machine, packages
from kit.course.lessons import lessons
from kit.errors import EndpointError
from kit.python_floor import FLOOR
from kit.twin import process as twin_process

ROOT = Path(__file__).parents[1]
GIB = 2**30
INSTALLED, REQUIRES = cache(machine.installed), cache(machine.requires)  # of a hundred packages


@pytest.fixture(autouse=True)
def no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("KIT_BASE_URL", "KIT_API_KEY", "KIT_MODEL"):
        monkeypatch.delenv(name, raising=False)


def refused(*_: object) -> None:
    raise EndpointError("nothing listens there", "start a server")


def quiet(**broken: object) -> Machine:
    """A machine where all is well and nothing else is installed, but for what is `broken`."""
    plain = Machine(
        environ={},
        which=lambda name: None,
        free_bytes=lambda path: 50 * GIB,
        memory_bytes=lambda: 8 * GIB,
        listens=lambda port: False,
        loopback=lambda: None,
        ask=refused,
        installed=INSTALLED,
        requires=REQUIRES,
    )
    return replace(plain, **broken)


def looked_at(**broken: object) -> Report:
    return examine(quiet(**broken), within_s=8)


def row(report: Report, name: str) -> Finding:
    return next(one for one in report.checks if one.name == name)


def stopped(report: Report) -> set[str]:
    return {one.lesson[:2] for one in report.lessons if one.runs == "no"}


def test_where_nothing_is_missing_every_lesson_runs_on_the_twin() -> None:
    report = looked_at()
    assert {one.runs for one in report.lessons} == {"here", "twin"}
    assert report.summary == "all 12 lessons run here, on the twin"
    assert {one.status for one in report.checks} <= {"ok", "warn"}


def test_an_old_python_stops_every_lesson() -> None:
    report = looked_at(python=(3, 10, 14))
    assert row(report, "Python").status == "fail"
    assert "make setup PYTHON=python3.11" in row(report, "Python").remedy
    assert len(stopped(report)) == 12
    assert "3.10.14" in report.first_lines()


def test_on_an_old_python_the_kit_ends_in_two_lines_before_it_breaks() -> None:
    older = "import sys; sys.version_info = (3, 10, 14, 'final', 0); import kit"
    done = subprocess.run(
        [sys.executable, "-c", older], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "this is 3.10.14" in done.stderr
    assert done.stderr.splitlines()[1].startswith("→ install Python 3.11 or newer")


def test_the_oldest_python_is_the_one_that_the_kit_declares() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["requires-python"] == f">={'.'.join(map(str, FLOOR))}"


def without(name: str) -> Callable[[str], str | None]:
    return lambda asked: None if asked == name else INSTALLED(asked)


def test_a_missing_package_is_named_with_the_lessons_that_need_it() -> None:
    report = looked_at(installed=without("uvicorn"))
    found = row(report, "packages")
    assert (found.status, "uvicorn is not installed" in found.found) == ("fail", True)
    assert "make setup" in found.remedy
    assert stopped(report) == set(machine.SERVED)


def test_a_package_beneath_another_is_missed_too() -> None:
    """JupyterLab's own server: no line of pyproject.toml names it."""
    report = looked_at(installed=without("jupyter-server"))
    assert "jupyter-server is not installed" in row(report, "packages").found
    assert len(stopped(report)) == 12


def test_what_only_headless_runs_need_stops_no_lesson() -> None:
    report = looked_at(installed=without("papermill"))
    assert row(report, "packages").status == "warn"
    assert not stopped(report)


def test_a_package_that_is_too_old_is_named_with_its_floor() -> None:
    old = quiet(installed=lambda name: "1.9.3" if name == "openai" else INSTALLED(name))
    found = packages.packages(old)
    assert "openai 1.9.3 is older than 3.54" in found.found


def test_outside_a_clone_the_packages_are_named_to_pip(tmp_path: Path) -> None:
    wheel = {packages.KIT: ["openai>=3.54", "numpy", 'sglang>=0.5; extra == "gpu"']}
    here = quiet(installed=lambda name: None, requires=lambda name: wheel.get(name, []))
    found = packages.packages(here, root=tmp_path)
    assert found.found == "openai is not installed, numpy is not installed"
    assert found.remedy.endswith('-m pip install --upgrade "openai>=3.54" numpy')


def test_a_package_behind_the_lock_is_a_warning(tmp_path: Path) -> None:
    (tmp_path / "requirements.txt").write_text("openai==4.10.0 ; os_name == 'nt'\nopenai==4.2.0\n")
    here = quiet(
        installed=lambda name: "4.1",
        requires=lambda n: ["openai>=3.54"] if n == packages.KIT else [],
    )
    found = packages.packages(here, root=tmp_path)
    assert (found.status, found.found) == ("warn", "openai 4.1 (the lock has 4.2.0)")


@pytest.mark.parametrize(("free", "status"), [(0, "fail"), (GIB, "warn"), (9 * GIB, "ok")])
def test_a_full_disk_stops_the_lessons_and_a_low_one_warns(free: int, status: str) -> None:
    report = looked_at(free_bytes=lambda path: free)
    found = row(report, "disk")
    assert (found.status, bool(stopped(report))) == (status, status == "fail")
    assert status == "ok" or "make room" in found.remedy


@pytest.mark.parametrize(("free", "status"), [(GIB // 4, "fail"), (GIB * 3 // 4, "warn")])
def test_little_memory_says_what_to_end(free: int, status: str) -> None:
    found = row(looked_at(memory_bytes=lambda: free), "memory")
    assert (found.status, "Shut Down All Kernels" in found.remedy) == (status, True)


def test_a_containers_limit_counts_where_it_is_less(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, text in {
        "max": f"{GIB}",
        "current": f"{GIB // 2}",
        "stat": "anon 1\ninactive_file 7",
    }.items():
        (tmp_path / f"memory.{name}").write_text(text)
    monkeypatch.setattr(machine, "CGROUP", tmp_path)
    assert machine.memory_bytes() == GIB // 2 + 7


@contextmanager
def answering(reply: bytes) -> Iterator[int]:
    """A program on a port of this machine that answers every GET so; it keeps what it was sent."""

    class Noting(Handler):
        def do_GET(self) -> None:
            sent.append(str(self.headers))
            self.reply(reply)

    sent: list[str] = []
    with Server(Noting) as server:
        yield server.server_port
        assert not [head for head in sent if "authorization" in head.lower()]


def test_a_port_that_another_program_holds_says_how_to_go_on() -> None:
    with answering(b"<html>") as number:
        here = Machine(environ={"KIT_API_KEY": "sk-secret"})
        found = checks.port(here, number)
    assert (found.status, found.serves) == ("warn", "")
    assert "not an OpenAI-compatible server" in found.found
    assert "kit twin --port 0" in found.remedy


def test_a_program_that_says_nothing_holds_the_doctor_up_no_longer_than_a_lesson() -> None:
    with socket.socket() as mute:
        mute.bind(("127.0.0.1", 0))
        mute.listen()
        began = time.monotonic()
        found = checks.port(Machine(environ={}), mute.getsockname()[1])
    assert found.status == "warn"
    assert time.monotonic() - began < 3


def test_a_server_on_a_port_is_the_one_that_lessons_take() -> None:
    models = json.dumps({"object": "list", "data": [{"id": "qwen3.5-4b"}]}).encode()
    with answering(models) as number:
        found = checks.port(Machine(environ={}), number)
    assert (found.status, found.serves) == ("ok", "live")
    assert "qwen3.5-4b" in found.found


def test_the_twin_on_a_port_is_called_a_twin() -> None:
    twin = twin_process.start("h200x8", 1.0, "0.5.23")
    try:
        found = checks.port(Machine(environ={}), int(twin.url.rsplit(":", 1)[1]))
    finally:
        twin.close()
    assert (found.status, found.serves) == ("ok", "twin")


def test_a_lesson_whose_file_is_gone_is_named(tmp_path: Path) -> None:
    for number in machine.EVERY:
        if number != "05":
            (tmp_path / f"{number}_x.ipynb").touch()
    found = checks.notebooks(quiet(), tmp_path)
    assert (found.status, found.stops) == ("fail", ("05",))
    assert "git checkout notebooks" in found.remedy


def test_the_lessons_that_ask_a_server_are_those_that_connect() -> None:
    texts = {path.name[:2]: path.read_text(encoding="utf-8") for path in lessons()}
    assert set(machine.SERVED) == {number for number, text in texts.items() if "connect(" in text}
    assert set(machine.EVERY) == set(texts)


def test_without_loopback_nothing_runs() -> None:
    def down() -> None:
        raise OSError(101, "Network is unreachable")

    report = looked_at(loopback=down)
    assert "ip link set lo up" in row(report, "loopback").remedy
    assert len(stopped(report)) == 12


def test_a_server_that_was_named_and_does_not_answer_stops_what_asks_it() -> None:
    report = looked_at(environ={"KIT_BASE_URL": "http://127.0.0.1:9"})
    found = row(report, "server")
    assert found.status == "fail"
    assert "unset KIT_BASE_URL" in found.remedy
    assert stopped(report) == set(machine.SERVED)


def test_the_key_goes_to_the_server_that_was_named_and_to_no_other() -> None:
    asked = {}

    def ask(url: str, key: str | None, model: str | None, within_s: float) -> None:
        asked[url] = key
        raise EndpointError("no", "")

    environ = {"KIT_BASE_URL": "http://far.example/v1", "KIT_API_KEY": "sk-secret"}
    report = looked_at(environ=environ, ask=ask, listens=lambda port: port != 8888)
    assert asked == {
        "http://far.example": "sk-secret",
        "http://127.0.0.1:30000": None,
        "http://127.0.0.1:8000": None,
    }
    assert "sk-secret" not in json.dumps(report.to_json()) + str(report)


def test_a_proxy_that_takes_this_machine_too_is_a_warning_without_its_password() -> None:
    environ = {"HTTP_PROXY": "http://me:secret@proxy:3128", "no_proxy": "localhost"}
    found = checks.proxies(quiet(environ=environ))
    assert (found.status, "secret" in found.found) == ("warn", False)
    assert found.remedy.startswith("export NO_PROXY=localhost,127.0.0.1")
    environ["no_proxy"] = "localhost, 127.0.0.1"
    assert checks.proxies(quiet(environ=environ)).status == "ok"


def test_what_hangs_or_breaks_is_a_row_and_the_rest_is_told() -> None:
    def hang(*_: object) -> int:
        time.sleep(20)
        return 0

    def broken(*_: object) -> bool:
        raise ZeroDivisionError("a bug")

    began = time.monotonic()
    report = examine(quiet(memory_bytes=hang, listens=broken), within_s=1.5)
    assert time.monotonic() - began < 3
    assert "no answer within 1.5 s" in row(report, "memory").found
    assert "could not be checked: ZeroDivisionError" in row(report, "port 30000").found
    assert report.summary.endswith(", as far as could be checked")
    assert not stopped(report)


def test_its_json_has_checks_lessons_and_where_they_come_from(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["doctor", "--json"]) in (0, 1)
    found = json.loads(capsys.readouterr().out)
    assert {*found} == {"checks", "lessons", "provenance"}
    assert found["provenance"]["kind"] == "measured"
    assert all({*one} == {"name", "status", "found", "remedy"} for one in found["checks"])
    assert [one["lesson"][:2] for one in found["lessons"]] == list(machine.EVERY)
    assert all({*one} == {"lesson", "runs", "needs"} for one in found["lessons"])


def test_it_ends_with_1_where_a_lesson_does_not_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KIT_BASE_URL", "http://127.0.0.1:9")
    assert main(["doctor"]) == 1


def test_the_first_lines_are_the_problems_alone_and_come_at_once() -> None:
    began = time.monotonic()
    fine = examine(quiet(), quick=True)
    assert time.monotonic() - began < 2  # 0.7 s, on a machine that does nothing else
    assert "all 12 lessons run here, on the twin" in fine.first_lines()
    broken = examine(quiet(free_bytes=lambda path: 0), quick=True)
    assert broken.first_lines().startswith("✗ disk: 0.0 GiB free")


def test_the_panel_says_the_same_as_the_command_and_where_it_was_measured() -> None:
    table = looked_at(free_bytes=lambda path: 0).table()
    assert table.sentence.startswith("12 of 12 lessons do not run")
    assert table.rows[0][:2] == ("fail", "disk")
    assert not table.folded
    assert str(table.provenance).startswith("measured")
