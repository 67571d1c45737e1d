"""Where a lesson first uses a term, it links it to the glossary or explains it in bold."""

import re

import nbformat
import pytest

from kit.course.lessons import NOTEBOOKS, lessons

GLOSSARY = (NOTEBOOKS / "glossary.md").read_text()
ENTRIES = dict(re.findall(r"^### (.+)\n(.+)$", GLOSSARY, re.M))
SPELLINGS = {  # how a term may be written, where that is more than itself and its plural
    "Decode": "decode|decoding",
    "Full attention": "full[- ]attention",
    "GDN": "GDN|(Gated )?DeltaNet",
    "MTP": "MTP|[Mm]ulti-token prediction",
    "Percentile": "percentiles?|P50s?|P90s?|P99s?",
    "State slot": "(state )?slots?",
    "Tensor parallelism": "[Tt]ensor parallelism|TP",
    "Vision tower": "(vision )?tower",
}
# What is not prose: code, pictures, headings, the words of links. Blanks keep the positions.
NOT_PROSE = re.compile(
    r"```.*?```|^ {4}.*?$|`[^`]*`|!?\[[^\]]*\]\([^)]*\)|^#.*?$|https?://\S+", re.M | re.S
)


def anchor(term):
    """As JupyterLab makes it out of a heading."""
    return term.strip("`").replace(" ", "-")


def pattern(term):
    plain = term.strip("`")
    spelt = SPELLINGS.get(term, f"{re.escape(plain)}s?")
    initials = plain[:2].isupper() or plain in ("GiB", "YaRN")
    return re.compile(rf"(?<![\w-])({spelt})(?![\w-])", 0 if initials else re.I)


def prose(text):
    return NOT_PROSE.sub(lambda found: " " * len(found[0]), text)


def first_use(term, text):
    """Where `text` uses the term before it links or explains it, as a match; else None."""
    link = text.find(f"](glossary.md#{anchor(term)})")
    for found in pattern(term).finditer(prose(text)):
        if 0 <= link < found.start() or text[: found.start()].endswith("**"):
            return None
        return found
    return None


def markdown(lesson):
    cells = nbformat.read(lesson, as_version=4).cells
    return "\n\n".join(cell.source for cell in cells if cell.cell_type == "markdown")


@pytest.mark.parametrize("lesson", lessons(), ids=lambda lesson: lesson.stem)
def test_a_term_is_linked_or_explained_where_a_lesson_first_uses_it(lesson):
    text = markdown(lesson)
    unlinked = {
        term: text[max(found.start() - 40, 0) : found.end() + 40]
        for term in ENTRIES
        if (found := first_use(term, text))
    }
    assert not unlinked


@pytest.mark.parametrize("lesson", lessons(), ids=lambda lesson: lesson.stem)
def test_a_link_to_the_glossary_has_an_entry_and_is_there_once(lesson):
    links = re.findall(r"\(glossary\.md#([^)]*)\)", markdown(lesson))
    assert set(links) <= set(map(anchor, ENTRIES))
    assert len(links) == len(set(links))


def test_a_term_used_too_early_is_found():
    assert first_use("TTFT", "The TTFT, or [TTFT](glossary.md#TTFT)")[0] == "TTFT"
    assert first_use("GDN", "of DeltaNet layers")[0] == "DeltaNet"
    assert first_use("Decode", "it decodes a video") is None
    assert not first_use("TTFT", "[TTFT](glossary.md#TTFT) and TTFT")
    assert not first_use("TTFT", "## TTFT\n\n`TTFT`, ![TTFT](a.svg)\n\n    TTFT = 1")
    assert not first_use("TTFT", "**TTFT** is the time until …, and a TTFT")


def test_entries_are_in_order_and_two_sentences_long():
    names = [name.strip("`").casefold() for name in ENTRIES]
    assert names == sorted(names)
    assert GLOSSARY.count("\n### ") == len(ENTRIES)
    for name, text in ENTRIES.items():
        assert len(re.findall(r"[.)](?= |$)", text.replace("…", ""))) in (2, 3, 4), name
        assert len(text.split()) <= 50, name
