"""Slides of every lesson, in build/slides, from the executed notebooks.

    python deploy/site/slides.py     # `make slides` does it; build/slides/index.html lists them

A slide is a heading, the section's first sentence, and one thing to look at: a picture, a figure, a
short printout or table. The prose and the code are the speaker's notes (press s). Slides that a
notebook names itself, as slideshow metadata, stay as they are.
"""

from __future__ import annotations

import html
import re
import shutil
import sys
from dataclasses import dataclass, field
from typing import Any

import nbformat
from draw import PLOTLY_JS, PLOTLY_MIME
from stage import BUILD, HERE, MODULES, as_html, copy, execute, figure_html

from kit.course.check import exercises
from kit.course.lessons import NOTEBOOKS, lessons

OUT = BUILD / "slides"
ASSETS = OUT / "assets"
LINES = 16  # of code and printout on a slide
COLUMNS = 96
SENTENCE = 180  # characters of a key line
_IMAGE = re.compile(r"!\[.*?\]\(.*?\)", re.S)
_LINK = re.compile(r"(?<!!)\[([^\]]*)\]\([^)]*\)")
_HEADING = re.compile(r"^(?=#{1,3} )", re.M)


@dataclass
class Slide:
    """A heading, a line, one thing to look at, and what the speaker says."""

    heading: str
    line: str = ""
    sight: str = ""
    notes: list[str] = field(default_factory=list)

    def cells(self) -> list[Any]:
        level = "#" if self.heading[:2].isdigit() else "##"
        shown = "\n\n".join(filter(None, [f"{level} {self.heading}", self.line, self.sight]))
        slide = nbformat.v4.new_markdown_cell(shown)
        slide.metadata.slideshow = {"slide_type": "slide"}
        notes = nbformat.v4.new_markdown_cell("\n\n".join(self.notes))
        notes.metadata.slideshow = {"slide_type": "notes"}
        return [slide, notes] if self.notes else [slide]


class Deck:
    """The slides of a notebook, cell by cell."""

    def __init__(self, number: str) -> None:
        self.slides: list[Slide] = []
        self.questions = [one for name, one in exercises().items() if name[:2] == number]

    def add(self, cell: Any) -> None:
        if cell.cell_type == "markdown":
            for part in filter(str.strip, _HEADING.split(cell.source)):
                self.prose(part)
        elif cell.cell_type == "code":
            self.slides[-1].notes.append(f"```python\n{cell.source}\n```")
            for sight in sights(cell):
                self.show(sight)

    def prose(self, text: str) -> None:
        """Headings begin a slide; pictures are shown; the rest is said."""
        pictures = _IMAGE.findall(text)
        words = _LINK.sub(r"\1", _IMAGE.sub("", text)).strip()
        if words.startswith("#"):
            head, _, words = words.partition("\n")
            heading = head.lstrip("# ")
            self.slides.append(Slide(heading, key_line(words)))
            if heading == "Exercises":
                self.slides[-1].line = ""
                asked = "\n".join(f"- {clip(one.question)}" for one in self.questions[:5])
                self.slides[-1].sight = asked
        if words.strip():
            self.slides[-1].notes.append(words.strip())
        for picture in pictures:
            self.show(picture)

    def show(self, sight: str) -> None:
        """On the slide that begins the section, or one more of the same heading."""
        last = self.slides[-1]
        if last.sight or last.line.startswith("- "):
            last = Slide(last.heading)
            self.slides.append(last)
        last.sight = sight


def key_line(words: str) -> str:
    """A section's short list, or else its first sentence where that is short."""
    bullets = re.findall(r"^- (.+(?:\n  .+)*)", words, re.M)
    if bullets and len(bullets) <= 7:
        return "\n".join(f"- {clip(' '.join(bullet.split()))}" for bullet in bullets)
    paragraph = " ".join(words.strip().partition("\n\n")[0].split())
    if paragraph.startswith(("|", "```", "<", "$$")):
        return ""
    return clip(paragraph)


def clip(text: str) -> str:
    """Its first sentences, as many as a slide holds; a long one ends at a word."""
    shown = ""
    for sentence in re.split(r"(?<=[.?!]) (?=[A-Z`*])", text):
        if len(shown) + len(sentence) > SENTENCE:
            break
        shown = f"{shown} {sentence}".strip()
    if shown or not text:
        return shown
    return f"{text[: text.rfind(' ', 0, SENTENCE)].rstrip(',;:')} …"


def sights(cell: Any) -> list[str]:
    """What a cell's outputs give to look at."""
    found = []
    printed = "".join(o.text for o in cell.outputs if o.output_type == "stream")
    lines = printed.rstrip().splitlines()
    code = cell.source.splitlines()
    if lines and len(lines) + len(code) <= LINES and max(map(len, lines + code)) <= COLUMNS:
        found.append(f"```python\n{cell.source}\n```\n\n{pre(printed)}")
    for output in cell.outputs:
        data = output.get("data", {})
        table, said = data.get("text/html", ""), data.get("text/markdown", "")
        if PLOTLY_MIME in data:
            found.append(figure_html(data[PLOTLY_MIME], None))
        elif "<table" in table and "<details" not in table and table.count("<tr") <= 10:
            shown = re.sub(r"<script>.*?</script>", "", table, flags=re.S).replace("\n", " ")
            found.append(f'<div class="kit-table">{shown}</div>')
        elif not table and 0 < len(said) < 700 and not said.startswith("**○"):
            found.append(said)
    return found


def pre(text: str) -> str:
    return f'<pre class="kit-printed">{html.escape(text.rstrip())}</pre>'


def deck(node: Any, number: str) -> Any:
    """The notebook of the slides."""
    if any("slideshow" in cell.metadata for cell in node.cells):
        as_html(node, {})
        return node
    made = Deck(number)
    for cell in node.cells:
        made.add(cell)
    cells = [cell for slide in made.slides for cell in slide.cells()]
    return nbformat.v4.new_notebook(cells=cells, metadata=node.metadata)


def main() -> int:
    from nbconvert import SlidesExporter

    executed = execute()
    shutil.rmtree(OUT, ignore_errors=True)
    exporter = SlidesExporter(
        raw_template=(HERE / "slides.html.j2").read_text(encoding="utf-8"),
        reveal_url_prefix="assets/reveal",
        reveal_theme="white",
        embed_images=True,
    )
    listed = []
    for lesson, path in zip(lessons(), executed, strict=True):
        node = deck(nbformat.read(path, as_version=4), lesson.stem[:2])
        resources = {"metadata": {"name": lesson.stem, "path": str(NOTEBOOKS)}}
        body, _ = exporter.from_notebook_node(node, resources)
        OUT.mkdir(parents=True, exist_ok=True)
        (OUT / f"{lesson.stem}.html").write_text(body, encoding="utf-8")
        title = node.cells[0].source.partition("\n")[0].lstrip("# ")
        listed.append(f'<li><a href="{lesson.stem}.html">{html.escape(title)}</a></li>')
    carry()
    write_index(listed)
    return 0


def carry() -> None:
    """The scripts and styles that the slides bring with them."""
    for part in ("dist", "plugin/notes"):
        shutil.copytree(MODULES / "reveal.js" / part, ASSETS / "reveal" / part)
    copy(PLOTLY_JS, ASSETS / "plotly.min.js")
    copy(MODULES / "mathjax" / "es5" / "tex-svg.js", ASSETS / "tex-svg.js")
    for name in ("slides.js", "slides.css", "favicon.svg"):
        copy(HERE / name, ASSETS / name)


def write_index(listed: list[str]) -> None:
    page = (HERE / "slides_index.html").read_text(encoding="utf-8")
    (OUT / "index.html").write_text(page.replace("LESSONS", "\n".join(listed)), encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
