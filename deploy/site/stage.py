"""Lays out what Sphinx and the slides read, in build/site-source: the repository's pages, in their
places, with every lesson executed.

    python deploy/site/stage.py    # `make site` and `make slides` do it

An executed lesson in build/ (from `make run` too) is used again while it is newer than the lesson
and the kit.
"""

from __future__ import annotations

import base64
import html
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import nbformat
from api import api_page
from draw import PLOTLY_JS, PLOTLY_MIME, chromium, digest, pngs, words

from kit.course.lessons import lessons

ROOT = Path(__file__).resolve().parents[2]
HERE = Path(__file__).parent
BUILD = ROOT / "build"
SOURCE = BUILD / "site-source"
MODULES = ROOT / ".venv-site" / "node_modules"
PAGES = ("*.md", "notebooks/*.md", "notebooks/solutions/*.md", "docs/*.md", "benchmarks/README.md")
ALSO = ("kit/data/pocket/README.md", "deploy/sglang-cpu/README.md")
PICTURES = ("notebooks/images/*", "docs/images/*")
_LINK = re.compile(r"(!?)\[((?:[^\[\]]|\[[^\]]*\])*)\]\(([^)\s#]+)(#[^)\s]*)?\)")
_TREE = """

```{toctree}
:hidden:
:caption: CAPTION

PAGES
```
"""


def main() -> int:
    executed = execute()
    shutil.rmtree(SOURCE, ignore_errors=True)
    SOURCE.mkdir(parents=True)
    pages = sorted({path for pattern in (*PAGES, *ALSO) for path in ROOT.glob(pattern)})
    here = {page.relative_to(ROOT).as_posix() for page in pages}
    here |= {f"notebooks/{lesson.name}" for lesson in lessons()}
    for pattern in PICTURES:
        for picture in ROOT.glob(pattern):
            copy(picture, SOURCE / picture.relative_to(ROOT))
    for page in pages:
        text = linked(page.read_text(encoding="utf-8"), page, here)
        write(SOURCE / page.relative_to(ROOT), text)
    (SOURCE / "README.md").rename(SOURCE / "index.md")
    write(SOURCE / "api.md", api_page())
    shown = [nbformat.read(path, as_version=4) for path in executed]
    pictures = draw([figure for node in shown for figure in figures(node)])
    for lesson, node in zip(lessons(), shown, strict=True):
        for cell in node.cells:
            if cell.cell_type == "markdown":
                cell.source = linked(cell.source, lesson, here)
        as_html(node, pictures)
        add_solutions(node, lesson.stem[:2], here)
        nbformat.write(node, SOURCE / "notebooks" / lesson.name)
    with (SOURCE / "index.md").open("a", encoding="utf-8") as index:
        index.write("".join(trees(here)))
    carry()
    return 0


def execute() -> list[Path]:
    """Every lesson, executed; those that are not fresh are run now, two at a time."""
    stale = [lesson.stem for lesson in lessons() if not is_fresh(lesson)]
    command = [sys.executable, "-m", "kit.cli", "run", "--out", str(BUILD)]
    running = [subprocess.Popen([*command, *half]) for half in (stale[::2], stale[1::2]) if half]
    codes = [process.wait() for process in running]
    if any(codes):
        sys.exit("a lesson failed: the site shows executed lessons only")
    return [BUILD / lesson.name for lesson in lessons()]


def is_fresh(lesson: Path) -> bool:
    """Executed without an error, as it stands, after the last change of it and of the kit."""
    done = BUILD / lesson.name
    if not done.exists():
        return False
    ran = nbformat.read(done, as_version=4).metadata.get("papermill", {})
    parts = [lesson, *(p for p in (ROOT / "kit").rglob("*") if p.suffix not in (".pyc", ""))]
    newest = max(part.stat().st_mtime for part in parts)
    return (
        ran.get("exception") is None
        and not ran.get("parameters")
        and (done.stat().st_mtime > newest)
    )


def figures(node: Any) -> list[dict[str, Any]]:
    """The plotly figures of a notebook, in order."""
    outputs = (output for cell in node.cells for output in cell.get("outputs", []))
    return [o.data[PLOTLY_MIME] for o in outputs if PLOTLY_MIME in o.get("data", {})]


def draw(wanted: list[dict[str, Any]]) -> dict[str, bytes]:
    """Digest → PNG of each figure; those that were drawn before are kept in build/figures."""
    kept = BUILD / "figures"
    kept.mkdir(exist_ok=True)
    new = {digest(f): f for f in wanted if not (kept / f"{digest(f)}.png").exists()}
    if new and chromium() is None:
        print("no chromium here: the pages have no pictures for readers without scripts")
        return {}
    for name, picture in zip(new, pngs(list(new.values())), strict=True):
        (kept / f"{name}.png").write_bytes(picture)
    return {digest(f): (kept / f"{digest(f)}.png").read_bytes() for f in wanted}


def as_html(node: Any, pictures: dict[str, bytes]) -> None:
    """Plotly outputs as HTML: drawn by site.js, a picture where scripts are off."""
    for cell in node.cells:
        for output in cell.get("outputs", []):
            if PLOTLY_MIME in output.get("data", {}):
                figure = output.data[PLOTLY_MIME]
                output.data = {"text/html": figure_html(figure, pictures.get(digest(figure)))}


def figure_html(figure: dict[str, Any], picture: bytes | None) -> str:
    drawn = json.dumps({name: figure[name] for name in ("data", "layout")}, separators=(",", ":"))
    height = figure["layout"].get("height", 480)
    alt = html.escape(words(figure), quote=True)
    fallback = ""
    if picture:
        data = base64.b64encode(picture).decode()
        fallback = f'<noscript><img alt="{alt}" src="data:image/png;base64,{data}"></noscript>'
    inert = drawn.replace("<", "\\u003c")
    return (
        f'<div class="kit-figure-plot" role="img" aria-label="{alt}" style="min-height:{height}px">'
        f'<script type="application/json">{inert}</script>{fallback}</div>'
    )


def add_solutions(node: Any, number: str, here: set[str]) -> None:
    if f"notebooks/solutions/{number}.md" in here:
        text = f"[The answers to this lesson's exercises](solutions/{number}.md), folded."
        node.cells.append(nbformat.v4.new_markdown_cell(text))


def linked(text: str, page: Path, here: set[str]) -> str:
    """The page's text; of a link to a file that is not on the site, the words alone."""

    def kept(found: re.Match[str]) -> str:
        image, words_, target, anchor = found.groups()
        if image or re.match(r"[a-z]+:", target):
            return found[0]
        path = Path(os.path.relpath(os.path.normpath(page.parent / target), ROOT))
        if path.as_posix() == "README.md":
            up = os.path.relpath(ROOT / "index.md", page.parent)
            return f"[{words_}]({up}{anchor or ''})"
        return found[0] if path.as_posix() in here else words_

    return _LINK.sub(kept, text)


def trees(here: set[str]) -> list[str]:
    """The site's contents, for the index."""
    named = {
        "Lessons": [f"notebooks/{lesson.name}" for lesson in lessons()],
        "To look up": ["notebooks/glossary.md", "docs/deployment-matrix.md", "api.md"],
        "Teaching": ["INSTRUCTOR.md", *sorted(n for n in here if "/solutions/" in n)],
    }
    listed = {name for names in named.values() for name in names}
    named["More"] = sorted(here - listed - {"README.md"})
    found = []
    for caption, names in named.items():
        there = [Path(n).with_suffix("").as_posix() for n in names if n in here | {"api.md"}]
        if there:
            found.append(_TREE.replace("CAPTION", caption).replace("PAGES", "\n".join(there)))
    return found


def carry() -> None:
    """The scripts and styles that the pages bring with them."""
    carried = SOURCE / "_carried"
    copy(PLOTLY_JS, carried / "plotly.min.js")
    copy(MODULES / "mathjax" / "es5" / "tex-svg.js", carried / "tex-svg.js")
    for name in ("site.js", "site.css", "favicon.svg"):
        copy(HERE / name, carried / name)
    for name in ("conf.py", "anchors.py"):
        copy(HERE / name, SOURCE / name)


def copy(path: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(path, target)


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
