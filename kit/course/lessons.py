"""The lessons: which there are, how to run them headlessly, and which server one starts.

papermill executes a copy; the copy and an HTML page land under `build/`.
papermill itself only logs a mistyped parameter, so names are checked here first.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kit.course.sample_logs import Recording, recorded
from kit.errors import InvalidValue, LessonError, UnknownName
from kit.hardware import profile
from kit.launch import LaunchPlan, launch_plan
from kit.server import command_for, cpu
from kit.server.command import ServerCommand
from kit.server.processes import free_port
from kit.text_file import write_text

if TYPE_CHECKING:
    from nbformat import NotebookNode

_PACKAGE = Path(__file__).resolve().parents[1]
PACKAGED = (_PACKAGE / "notebooks").is_dir()  # in an installed wheel; in a clone they lie beside it
NOTEBOOKS = (_PACKAGE if PACKAGED else _PACKAGE.parent) / "notebooks"
CELL_TIMEOUT_S = 600
RECORDED = "recorded"
START = "h200-rank397-mtp"  # the recording of a start on the GPU of the course
GLOSSARY = "glossary.md"
_LINK = re.compile(r"(?<!!)(\[[^\]]*\])\((?![a-z]+:|#)([^)\s#]+)(#[^)\s]*)?\)")


@dataclass(frozen=True)
class LessonRun:
    """One lesson, executed. `error` is empty where it went through."""

    name: str
    seconds: float
    notebook: Path
    page: Path
    error: str = ""


def lessons(folder: Path = NOTEBOOKS) -> tuple[Path, ...]:
    """The notebook of every lesson, by number. Raises LessonError where there are none."""
    found = tuple(sorted(folder.glob("[0-9][0-9]_*.ipynb")))
    if not found:
        raise LessonError(
            f"no lessons in {folder}", "install the course anew: its wheel and its clone have them"
        )
    return found


def find(name: str, folder: Path = NOTEBOOKS) -> Path:
    """A lesson by number, name or path. Raises UnknownName."""
    path = Path(name)
    if path.suffix == ".ipynb" and path.is_file():
        return path.resolve()
    for lesson in lessons(folder):
        number = lesson.stem[:2]
        if path.stem in (lesson.stem, number, number.lstrip("0") or "0"):
            return lesson
    raise UnknownName("lesson", name, [lesson.stem for lesson in lessons(folder)])


def parameters(lesson: Path) -> dict[str, str]:
    """The lesson's parameters, name → default as written."""
    import papermill

    found = papermill.inspect_notebook(str(lesson))
    return {name: str(about["default"]) for name, about in found.items()}


def run(
    chosen: Iterable[Path],
    out: Path,
    options: Mapping[str, Any] | None = None,
    demanded: Mapping[str, Any] | None = None,
    say: Callable[[str], None] = print,
) -> list[LessonRun]:
    """Execute lessons one after another, a progress line each.

    `options` (url, profile, speed) go to the lessons that take them; `demanded`
    are parameters that each lesson must have, else LessonError before anything
    runs. A failing lesson does not stop the next.
    """
    chosen = tuple(chosen)
    options, demanded = dict(options or {}), dict(demanded or {})
    takes = {lesson: parameters(lesson) for lesson in chosen}
    for lesson in chosen:
        for name in demanded:
            if name not in takes[lesson]:
                unknown = UnknownName("parameter", name, takes[lesson])
                raise LessonError(f"{lesson.stem} has {unknown.what}", unknown.hint)
    out.mkdir(parents=True, exist_ok=True)
    pages = {lesson.name for lesson in chosen} | {GLOSSARY}
    _glossary(out)
    runs = []
    for i, lesson in enumerate(chosen, 1):
        progress = f"[{i}/{len(chosen)}] {lesson.stem}"
        say(f"{progress} …")
        given = {k: v for k, v in options.items() if k in takes[lesson]} | demanded
        done = _execute(lesson, out, given, pages)
        say(f"{progress} {done.error or 'ok'}  {done.seconds:.1f} s  {done.page}")
        runs.append(done)
    return runs


def what_to_start(asked: str = "") -> LaunchPlan | ServerCommand | Recording:
    """What a lesson can start here; a printed line says why.

    `asked` is a profile or "cpu-pocket"; empty, or "recorded", a recording of one rank on an H200.
    Raises UnknownName; LaunchError where it cannot be started.
    """
    name = asked or RECORDED
    if name == RECORDED:
        recording = recorded(START)
        print(f"A recorded start: {recording.title}.")
        return recording
    if name in cpu.MODELS:
        print(f"{name}: {cpu.MODELS[name]}.")
        return command_for(name, port=free_port())
    print(f"{name}, as asked: the real server.")
    return launch_plan(profile(name), metrics=True)


def _execute(lesson: Path, out: Path, given: Mapping[str, Any], pages: set[str]) -> LessonRun:
    import logging

    import papermill
    from papermill.exceptions import PapermillExecutionError

    logging.getLogger("papermill").setLevel(logging.ERROR)  # else it warns of widgets' comms
    notebook = out / f"{lesson.stem}.ipynb"
    began = time.monotonic()
    error = ""
    try:
        papermill.execute_notebook(
            str(lesson),
            str(notebook),
            parameters=dict(given),
            cwd=str(lesson.parent),
            kernel_name="python3",
            progress_bar=False,
            execution_timeout=CELL_TIMEOUT_S,
            extra_arguments=["--IPKernelApp.log_level=40"],
        )
    except PapermillExecutionError as failed:
        said = f"{failed.ename}: {failed.evalue}".splitlines()[0]
        error = f"failed in cell {failed.cell_index}: {said}"
    except (RuntimeError, OSError) as failed:  # no kernel, or no room for the notebook
        raise LessonError(
            f"{lesson.stem}: {str(failed).splitlines()[0] if str(failed) else 'its kernel died'}",
            "is there room on the disks, and in memory? kit doctor says what is here",
        ) from failed
    page = _page(lesson, notebook, pages)
    return LessonRun(lesson.stem, time.monotonic() - began, notebook, page, error)


def _page(lesson: Path, notebook: Path, pages: set[str]) -> Path:
    """The executed notebook as one HTML file that needs no network."""
    import nbformat

    from kit.views import html_export

    node: NotebookNode = nbformat.read(notebook, as_version=4)
    for cell in node.cells:
        if cell.cell_type == "markdown":
            cell.source = _linked(cell.source, lesson.parent, notebook.parent, pages)
    body = html_export.page(node, notebook.stem, lesson.parent)
    page = notebook.with_suffix(".html")
    write_text(page, body)
    return page


def _glossary(out: Path) -> None:
    """The glossary as a page beside the lessons' pages."""
    from nbformat import v4

    from kit.views import html_export

    text = (NOTEBOOKS / GLOSSARY).read_text(encoding="utf-8")
    node = v4.new_notebook(cells=[v4.new_markdown_cell(text)])
    write_text((out / GLOSSARY).with_suffix(".html"), html_export.page(node, "Glossary", NOTEBOOKS))


def _linked(text: str, folder: Path, out: Path, pages: set[str]) -> str:
    """A cell's text with links that lead on from `out`: to the `pages` that lie there, and to what
    else is in the lesson's `folder`."""

    def link(found: re.Match[str]) -> str:
        words, target, anchor = found[1], found[2], found[3] or ""
        if target in pages or (out / target).with_suffix(".html").is_file():
            return f"{words}({Path(target).with_suffix('.html')}{anchor})"
        try:
            there = Path(os.path.relpath(folder / target, out)).as_posix()
        except ValueError:  # on another drive
            there = (folder / target).as_uri()
        return f"{words}({there}{anchor})"

    return _LINK.sub(link, text)


def assignment(text: str) -> tuple[str, Any]:
    """ "speed=4" → ("speed", 4): a parameter from the command line, read as JSON where it is."""
    import json

    name, sep, value = text.partition("=")
    if not sep or not name.isidentifier():
        raise InvalidValue(f"cannot read the parameter {text!r}", "write it as name=value")
    try:
        return name, json.loads(value)
    except json.JSONDecodeError:
        return name, value
