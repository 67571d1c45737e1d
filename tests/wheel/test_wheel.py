"""The built wheel in an environment of its own, far from the clone: what `make test-wheel` runs."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from kit import __version__, setup
from kit.course.lessons import lessons

ROOT = Path(__file__).parents[2]
BIN = "Scripts" if os.name == "nt" else "bin"


def run(*command, cwd, **env):
    """What a command prints, without our paths and keys in its environment."""
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("KIT_", "PYTHON", "VIRTUAL"))}
    done = subprocess.run(
        [str(word) for word in command],
        cwd=cwd,
        env=clean | env,
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """The folder of commands of a fresh environment with the wheel in it."""
    place = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", place]
    run(*build, cwd=ROOT)
    (wheel,) = place.glob("*.whl")
    assert wheel.name.startswith(f"qwen35_serving_kit-{__version__}-")
    venv = place / "venv"
    uv = Path(sys.executable).with_name("uv")
    run(uv, "venv", "--quiet", "--python", sys.executable, venv, cwd=place)
    locked = ("--constraint", ROOT / "requirements.txt")
    python = venv / BIN / "python"
    run(uv, "pip", "install", "--quiet", "--python", python, *locked, wheel, cwd=place)
    return venv / BIN


def test_lesson_00_runs_from_it(installed, tmp_path):
    said = run(installed / "kit", "run", "00", cwd=tmp_path)
    assert "[1/1] 00_start_here ok" in said
    assert (tmp_path / "build" / "00_start_here.html").stat().st_size > 100_000


def test_kit_lab_copies_the_lessons_and_opens_the_copy(installed, tmp_path):
    said = run(installed / "kit", "lab", "--", "--version", cwd=tmp_path)
    copy = tmp_path / "qwen35-course"
    assert str(copy) in said
    assert {p.name for p in copy.glob("*.ipynb")} == {lesson.name for lesson in lessons()}
    said = run(installed / "kit", "lab", "mine", "--", "--show-config", cwd=tmp_path)
    assert str(tmp_path / "mine") in said.split("root_dir")[-1]


def test_its_data_came_along(installed, tmp_path):
    assert "--speculative-algorithm" in run(installed / "kit", "command", "h200x8", cwd=tmp_path)
    code = "import kit; print(kit.__file__)"
    where = run(installed / "python", "-c", code, cwd=tmp_path)
    assert Path(where.strip()).is_relative_to(installed.parent)


def test_setup_without_make_fills_an_environment_and_does_nothing_the_second_time(tmp_path):
    for name in ("requirements.txt", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, tmp_path)
    shutil.copytree(ROOT / "binder", tmp_path / "binder")
    shutil.copytree(ROOT / "kit", tmp_path / "kit")
    shutil.copytree(ROOT / "notebooks", tmp_path / "notebooks")
    said = run(sys.executable, "-m", "kit.setup", cwd=tmp_path)
    assert said.splitlines()[0].startswith("1/2")
    kit = tmp_path / ".venv" / BIN / "kit"
    assert str(kit) in said.splitlines()[-1]
    assert "--speculative-algorithm" in run(kit, "command", "h200x8", cwd=tmp_path)
    again = run(sys.executable, "-m", "kit.setup", cwd=tmp_path)
    assert len(again.splitlines()) == 1
    stated = setup.COURSE.disk_mb
    if (sys.platform, sys.version_info[:2]) == ("linux", (3, 11)):
        assert setup.size_mb(tmp_path / ".venv") == pytest.approx(stated, rel=0.1)
    assert f"{stated} MB on disk" in said


@pytest.mark.parametrize("system", ["linux", "windows", "macos"])
@pytest.mark.parametrize("version", ["3.11", "3.12", "3.14"])
def test_the_lock_has_a_wheel_of_everything(system, version, tmp_path):
    """Nothing is compiled on a learner's machine. Asked of the package index, not installed."""
    uv = Path(sys.executable).with_name("uv")
    where = ("--target", tmp_path / "x", "--python-version", version, "--python-platform", system)
    how = ("--dry-run", "--quiet", "--require-hashes", "--only-binary", ":all:")
    run(uv, "pip", "install", *how, *where, "-r", ROOT / "requirements.txt", cwd=tmp_path)
