"""What a saved notebook holds of a hostile answer, read by nbconvert's Markdown (mistune)."""

from __future__ import annotations

import random
import re
import time
from html.parser import HTMLParser

import pytest
from nbconvert.filters.markdown_mistune import markdown2html_mistune

from kit.chat import ToolCall
from kit.errors import KitError
from kit.provenance import Author, AuthorKind, simulated
from kit.views.reply import Reply
from kit.views.safe_markdown import MAX_CHARS, MAX_FORMULAS, escape, html_text, inert
from kit.views.widgets.transcript import bundle

from .hostile import LONG, SHORT, texts

RUN = "collector_run()"
FETCH = "http://collector.invalid/x"
TEXTS = texts(lambda: FETCH, lambda: RUN)
TAGS = re.compile(
    "p|br|hr|em|strong|del|code|pre|span|div|a|ul|ol|li|blockquote|h[1-6]|table|thead|tbody|tr|th|td"
    "|details|summary|input"
)
LANGUAGES = {"", "python", "bash", "javascript", "text"}
FORMULA = re.compile(r"(\$\$?)(?!\s).+?\1|\\\\?[(\[].+|\\begin\{.+", re.DOTALL)
MORE_THAN_SIGNS = re.compile(
    r"\\(href|url|includegraphics|style|class|cssId|bbox|unicode|require|html\w+|[egx]?def|let"
    r"|newcommand|rule|kern)"
)


class Drawn(HTMLParser):
    """What a page would hold: its tags, and the texts outside of code, as MathJax joins them."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.bad: list[str] = []
        self.texts = [""]
        self._code = 0
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if not TAGS.fullmatch(tag):
            self.bad.append(f"<{tag}>")
        for name, value in attrs:
            plain = name in (
                "id",
                "class",
                "type",
                "disabled",
                "checked",
                "title",
                "start",
                "align",
            )
            aligned = name == "style" and re.fullmatch(r"text-align: ?\w+;?", value or "")
            leads = name == "href" and re.match(r"https?://|#", value or "")
            if not (plain or aligned or leads) or (name == "class" and "mermaid" in str(value)):
                self.bad.append(f"<{tag} {name}={value}>")
        self._code += tag in ("code", "pre")
        self.texts.append("")

    def handle_endtag(self, tag: str) -> None:
        self._code -= tag in ("code", "pre")
        self.texts.append("")

    def handle_comment(self, data: str) -> None:
        self.bad.append(f"<!--{data}")

    handle_decl = handle_pi = unknown_decl = handle_comment

    def handle_data(self, data: str) -> None:
        if not self._code:
            self.texts[-1] += data


def found_in(markdown: str) -> list[str]:
    """What is more than text, code or a plain formula."""
    drawn = Drawn(markdown2html_mistune(markdown))
    for text in drawn.texts:
        drawn.bad += [f[0] for f in FORMULA.finditer(text) if MORE_THAN_SIGNS.search(f[0])]
    for line in markdown.splitlines():
        fence = re.match(r"[\s>*+.\d)\[\]-]*(?:`{3,}|~{3,})[ {.]*([\w:+#-]*)[^`]*$", line)
        if fence and fence[1].lower() not in LANGUAGES:
            drawn.bad.append(line)
    return drawn.bad


def test_the_detector_detects() -> None:
    missed = [name for name, text in TEXTS.items() if not found_in(text)]
    assert missed == ["terminal", "signs"]  # nothing that Markdown could draw


@pytest.mark.parametrize("name", SHORT)
@pytest.mark.parametrize("where", ["alone", "after text", "in a quote"])
def test_a_hostile_answer_is_text(name: str, where: str) -> None:
    safe = escape(TEXTS[name])
    if where == "after text":
        safe = f"Some words:\n{safe}\n\nThe end."
    if where == "in a quote":
        safe = "\n".join(f"> {line}" for line in safe.splitlines())
    assert found_in(safe) == []


def reply(text: str) -> Reply:
    return Reply(
        prompt=text,
        thinking=text,
        answer=text,
        tool_calls=(ToolCall(0, text, text, text),),
        usage=None,
        finish_reason=text,
        ttft_ms=None,
        tokens_per_s=None,
        thinking_tokens=1,
        answer_tokens=1,
        exact=True,
        author=Author(AuthorKind.MODEL, text),
        provenance=simulated(text),
        remark=text,
    )


@pytest.mark.parametrize("name", SHORT)
def test_no_field_of_an_answer_draws(name: str) -> None:
    """The title is the served model's name; an error may quote the server."""
    text = TEXTS[name]
    kept = bundle([(text, reply(text), KitError(text, text))])["text/markdown"]
    assert found_in(kept) == []


@pytest.mark.parametrize("name", SHORT)
def test_a_table_cell_is_one_line_of_text(name: str) -> None:
    cell = inert(" ".join(TEXTS[name].split()))
    assert found_in(f"| a | b |\n|---|---|\n| x | {cell} |") == []
    assert "|" not in cell


@pytest.mark.parametrize("name", SHORT)
def test_an_html_output_has_no_formula_in_it(name: str) -> None:
    """JupyterLab's MathJax fetches what \\unicode names as a font, wherever it finds a formula."""
    drawn = Drawn(f"<p>{html_text(TEXTS[name])}</p>")
    assert drawn.bad == []
    assert [text for text in drawn.texts if FORMULA.search(text)] == []


PARTS = [
    "`",
    "``",
    "```",
    "~~~",
    "\n",
    "\n\n",
    "> ",
    "    ",
    "- ",
    "1. ",
    "| ",
    "$",
    "$$",
    "\\",
    "\\(",
]
PARTS += [
    "\\)",
    "\\[",
    "\\]",
    "&#36;",
    "mermaid",
    "math",
    ":::",
    "\\href{javascript:a()}{x}",
    "[",
    "](",
]
PARTS += [
    "![x](http://collector.invalid/)",
    "<img onerror=a()>",
    "</details>",
    "<!--",
    "javascript:a()",
]
PARTS += [
    "\\begin{equation}",
    "\\end{equation}",
    "text ",
    " ",
    "\\\\(",
    "{",
    "}",
    "*",
    "_",
    "\t",
    "\r",
]


def mixture(seed: int) -> str:
    return "".join(random.Random(seed).choices(PARTS, k=40))


@pytest.mark.parametrize(
    "seeds", [range(150), pytest.param(range(150, 20_150), marks=pytest.mark.trust_long)]
)
def test_no_mixture_of_signs_draws(seeds: range) -> None:
    drawn = {seed: found for seed in seeds if (found := found_in(escape(mixture(seed))))}
    print(f"{len(seeds):,} mixtures, {len(drawn)} of them drawn")
    assert drawn == {}


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("```python\nx = '$5'\n```", "```python\nx = '$5'\n```"),
        ("1. do\n   ```bash\n   ls\n   ```", "1. do\n   ```bash\n   ls\n   ```"),
        ("```Python title=x\nx\n```", "```python\nx\n```"),
        ("so $15\\%$ of $240$ is $\\boxed{36}$", "so $15\\%$ of $240$ is $\\boxed{36}$"),
        ("$$\\frac{15}{100} \\times 240$$", "$$\\frac{15}{100} \\times 240$$"),
        ("$$\n\\begin{aligned}\na &= b \\\\\n\\end{aligned}\n$$",) * 2,
        ("as \\(x_1\\) and \\[e = mc^2\\]", "as $x_1$ and $$e = mc^2$$"),
        ("costs $5 and $6", "costs <span>&#36;</span>5 and <span>&#36;</span>6"),
        ("[web](https://example.org) **bold**", "[web](https://example.org) **bold**"),
    ],
)
def test_what_models_mean_stays_readable(text: str, kept: str) -> None:
    assert escape(text) == kept


def test_only_so_many_formulas_stay_formulas() -> None:
    """MathJax draws twenty thousand of them for minutes."""
    kept = escape(LONG["twenty thousand formulas"])
    assert kept.count("$x$") == MAX_FORMULAS


@pytest.mark.parametrize("name", LONG)
def test_a_long_text_is_kept_in_time_and_in_bounds(name: str) -> None:
    began = time.process_time()
    kept = escape(LONG[name])
    assert time.process_time() - began < 2
    assert len(kept) < 12 * MAX_CHARS
    if len(LONG[name]) > MAX_CHARS:
        assert "more characters" in kept
