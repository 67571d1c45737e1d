"""The lessons: which there are, and how to run them headlessly.

papermill executes a copy; the copy and an HTML page land under `build/`.
papermill itself only logs a mistyped parameter, so names are checked here first.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kit.errors import InvalidValue, LessonError, UnknownName

if TYPE_CHECKING:
    from nbformat import NotebookNode

NOTEBOOKS = Path(__file__).resolve().parents[2] / "notebooks"
CELL_TIMEOUT_S = 600


@dataclass(frozen=True)
class Lesson:
    """One notebook. `name` is its file's stem: "00_start_here"."""

    path: Path

    @property
    def name(self) -> str:
        return self.path.stem

    @property
    def number(self) -> str:
        return self.name.split("_")[0]


@dataclass(frozen=True)
class LessonRun:
    """One lesson, executed. `error` is empty where it went through."""

    lesson: Lesson
    seconds: float
    notebook: Path
    page: Path
    error: str = ""


def lessons(folder: Path = NOTEBOOKS) -> tuple[Lesson, ...]:
    """Every lesson, by number. Raises LessonError where there are none."""
    found = tuple(Lesson(path) for path in sorted(folder.glob("[0-9][0-9]_*.ipynb")))
    if not found:
        raise LessonError(
            f"no lessons in {folder}", "run this from a clone of the course, with its notebooks/"
        )
    return found


def find(name: str, folder: Path = NOTEBOOKS) -> Lesson:
    """A lesson by number, name or path. Raises UnknownName."""
    path = Path(name)
    if path.suffix == ".ipynb" and path.is_file():
        return Lesson(path.resolve())
    for lesson in lessons(folder):
        if path.stem in (lesson.name, lesson.number, lesson.number.lstrip("0") or "0"):
            return lesson
    raise UnknownName("lesson", name, [lesson.name for lesson in lessons(folder)])


def parameters(lesson: Lesson) -> dict[str, str]:
    """The lesson's parameters, name → default as written."""
    import papermill

    found = papermill.inspect_notebook(str(lesson.path))
    return {name: str(about["default"]) for name, about in found.items()}


def run(
    chosen: Iterable[Lesson],
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
    takes = {lesson.name: parameters(lesson) for lesson in chosen}
    for lesson in chosen:
        for name in demanded:
            if name not in takes[lesson.name]:
                unknown = UnknownName("parameter", name, takes[lesson.name])
                raise LessonError(f"{lesson.name} has {unknown.what}", unknown.hint)
    out.mkdir(parents=True, exist_ok=True)
    runs = []
    for i, lesson in enumerate(chosen, 1):
        say(f"[{i}/{len(chosen)}] {lesson.name} …")
        given = {k: v for k, v in options.items() if k in takes[lesson.name]} | demanded
        done = _execute(lesson, out, given)
        outcome = done.error or "ok"
        say(f"[{i}/{len(chosen)}] {lesson.name} {outcome}  {done.seconds:.1f} s  {done.page}")
        runs.append(done)
    return runs


def _execute(lesson: Lesson, out: Path, given: Mapping[str, Any]) -> LessonRun:
    import logging

    import papermill
    from papermill.exceptions import PapermillExecutionError

    logging.getLogger("papermill").setLevel(logging.ERROR)  # else it warns of widgets' comms
    notebook = out / f"{lesson.name}.ipynb"
    began = time.monotonic()
    error = ""
    try:
        papermill.execute_notebook(
            str(lesson.path),
            str(notebook),
            parameters=dict(given),
            cwd=str(lesson.path.parent),
            kernel_name="python3",
            progress_bar=False,
            execution_timeout=CELL_TIMEOUT_S,
            extra_arguments=["--IPKernelApp.log_level=40"],
        )
    except PapermillExecutionError as failed:
        said = f"{failed.ename}: {failed.evalue}".splitlines()[0]
        error = f"failed in cell {failed.cell_index}: {said}"
    page = _page(lesson, notebook)
    return LessonRun(lesson, time.monotonic() - began, notebook, page, error)


def _page(lesson: Lesson, notebook: Path) -> Path:
    """The executed notebook as one HTML file that needs no network."""
    import nbformat
    from nbconvert import HTMLExporter

    from kit.views.html_export import with_live_plots

    node: NotebookNode = with_live_plots(nbformat.read(notebook, as_version=4))
    body, _ = HTMLExporter(embed_images=True).from_notebook_node(
        node, resources={"metadata": {"name": notebook.stem, "path": str(lesson.path.parent)}}
    )
    page = notebook.with_suffix(".html")
    page.write_text(body, encoding="utf-8")
    return page


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
