"""The built wheel in an environment of its own, far from the clone: what `make test-wheel` runs."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from kit import __version__
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
