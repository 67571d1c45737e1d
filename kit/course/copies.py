"""The lessons in a folder of the reader's own: copied, kept up to date, never overwritten.

    lay_out(NOTEBOOKS, own_folder())
    reset("04", own_folder())

A small record in the folder holds what was copied. With it, a file that nobody changed is replaced
by its newer version, and a changed one stays: the newer version is laid beside it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path

from kit.course.lessons import NOTEBOOKS, PACKAGED, find
from kit.course.pictures import without_pictures
from kit.errors import LessonError
from kit.text_file import write_bytes, write_text

RECORD = ".copied.json"


def own_folder() -> Path:
    """Where a reader works: work/ in a clone, which git ignores; else qwen35-course/ here."""
    return Path("qwen35-course") if PACKAGED else NOTEBOOKS.parent / "work"


def lay_out(source: Path, folder: Path, say: Callable[[str], None] = print) -> None:
    """Copy the lessons of `source`, their pictures and the glossary, into `folder`.

    Says where, and which newer versions lie beside a changed file. Raises LessonError where
    `folder` is a file, KitError where it cannot be written.
    """
    if folder.exists() and not folder.is_dir():
        raise LessonError(f"{folder} is a file", "give the name of a folder: kit lab my-course")
    copied = _record(folder)
    new: dict[str, str] = {}
    for name in _files(source):
        data = _as_copied(source / name)
        new[name] = _digest(data)
        target = folder / name
        if target.exists():
            current = _digest(target.read_bytes())
            if current == new[name] or (current != copied.get(name) == new[name]):
                continue  # ours already; or changed, and there is no newer version
            if current != copied.get(name):
                target = _beside(target)
                say(f"{folder / name} was changed and stays; the new version is {target.name}")
        target.parent.mkdir(parents=True, exist_ok=True)
        write_bytes(target, data)
    if copied | new != copied:
        write_text(folder / RECORD, json.dumps(copied | new, indent=1) + "\n")
    say(f"The lessons are in {folder.resolve()}")


def reset(
    name: str, folder: Path, say: Callable[[str], None] = print, source: Path = NOTEBOOKS
) -> None:
    """Put a lesson, by its number or name, back as it came. The reader's copy stays beside it.

    Raises UnknownName for a lesson, KitError where it cannot be written.
    """
    lesson = find(name, source)
    target, data = folder / lesson.name, _as_copied(lesson)
    if target.exists() and target.read_bytes() != data:
        kept = _beside(target, "mine")
        write_bytes(kept, target.read_bytes())
        say(f"Your copy stays: {kept}")
    folder.mkdir(parents=True, exist_ok=True)
    write_bytes(target, data)
    copied = _record(folder) | {lesson.name: _digest(data)}
    write_text(folder / RECORD, json.dumps(copied, indent=1) + "\n")
    say(f"{target} is as it came")


def _as_copied(file: Path) -> bytes:
    """What of a file is copied: a lesson comes without the pictures of its figures."""
    data = file.read_bytes()
    return without_pictures(data) if file.suffix == ".ipynb" else data


def _files(source: Path) -> Iterator[str]:
    """Names of the lessons, their pictures and the glossary, relative to `source`."""
    for path in sorted([*source.glob("*.ipynb"), *source.glob("*.md"), *source.glob("images/*")]):
        if path.is_file():
            yield path.relative_to(source).as_posix()


def _beside(path: Path, word: str = "new") -> Path:
    """A free name next to `path`: 04_x.new.ipynb, 04_x.new2.ipynb."""
    number = ""
    while (free := path.with_name(f"{path.stem}.{word}{number}{path.suffix}")).exists():
        number = str(int(number or 1) + 1)
    return free


def _record(folder: Path) -> dict[str, str]:
    """File name → digest of what was copied; empty where the record is missing or broken."""
    try:
        found = json.loads((folder / RECORD).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
