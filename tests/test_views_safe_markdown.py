"""A model's answer as Markdown: what a parser could take for HTML is text, code stays as it is."""

from __future__ import annotations

import random
import re

import pytest

from kit.views.safe_markdown import escape

OURS = re.compile(r"</?(?:pre|code|span)>")
COULD_OPEN_A_TAG = re.compile(r"<[A-Za-z/!?]")
HOSTILE = [
    ("<script>alert(1)</script>", "&lt;script>"),
    ("a <img src=x onerror=alert(1)>", "&lt;img"),
    ("</details><iframe>", "&lt;/details>&lt;iframe>"),
    ("![x](http://tracker/x.png)", "!&#91;x]"),
    ("[x](javascript:alert(1))", "[x]&#40;javascript"),
    ("[x]: javascript:alert(1)", "[x]&#58;"),
    ("&lt;b&gt;", "&amp;lt;b&amp;gt;"),
    # what looks like code to us may not be code to the parser that shows it
    ("one ` tick\ntwo ` <img onerror=a()> ` ticks", "<code> &#60;img"),
    ("| `<img src=x onerror=a()> | ` |", "<code>&#60;img"),
    ("> ```\n<img src=x onerror=a()>", "&#60;img"),
    ("    ```\n<img src=x onerror=a()>", "&#60;img"),
    ("```\n[x](javascript:alert(1))\n```", "&#93;&#40;javascript"),
    ("$a<img src=x onerror=a()>$", "$a< img"),
]


@pytest.mark.parametrize(("text", "kept"), HOSTILE)
def test_html_in_an_answer_is_text_in_the_markdown(text: str, kept: str) -> None:
    assert kept in escape(text)
    assert not COULD_OPEN_A_TAG.search(OURS.sub("", escape(text)))


@pytest.mark.parametrize("seed", range(200))
def test_no_mixture_of_ticks_fences_and_tags_leaves_a_tag(seed: int) -> None:
    dice = random.Random(seed)
    parts = ["`", "``", "```", "~~~", "\n", "\n\n", "> ", "    ", "$", "$$", "|", "\\", "- ", " "]
    parts += ["<img onerror=a()>", "</details>", "<!--", "[x](javascript:a())", "text"]
    kept = OURS.sub("", escape("".join(dice.choices(parts, k=30))))
    assert not COULD_OPEN_A_TAG.search(kept)
    assert "](javascript" not in kept


@pytest.mark.parametrize(
    "same",
    [
        "`a < b`, [web](https://example.org)",
        "```python\nif a < b: pass\n```",
        "2 < 3 && 4 > 1",
        "$a < b$",
        "~~~\n# x\n~~~",
    ],
)
def test_code_formulas_and_comparisons_stay_as_they_are(same: str) -> None:
    assert escape(same) == same


def test_a_fence_that_was_cut_off_does_not_swallow_what_follows() -> None:
    assert escape("```python\nx = 1") == "```python\nx = 1\n```"
    assert escape("```python\nx = '<b>'").endswith("</code></pre>")
