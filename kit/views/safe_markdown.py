"""Markdown in which whatever a model wrote is text, in every program that draws a notebook.

JupyterLab does not sanitise the outputs of a notebook that its reader trusts, and it draws more
than Markdown: diagrams of code blocks, formulas by MathJax, whose commands set links and styles.
Code hosts draw maps and models, too. So this holds by construction, whatever a parser takes for
code or for a formula: no `<` that could open a tag is left but our own; a code block names a
programming language or nothing; a formula has commands of a list, and is short.
"""

from __future__ import annotations

import html
import re

from kit.load_data import toml

MAX_FORMULAS = 200
"""Formulas of one text that stay formulas: MathJax draws some hundreds a second."""
_FORMULA_CHARS, _FORMULA_DEPTH = 1000, 20
MAX_CHARS = 200_000
"""Characters that are drawn; JupyterLab parses all Markdown of a notebook while it opens it."""

_PLAIN = {name: frozenset(words.split()) for name, words in toml("plain_markup.toml").items()}

_FENCE = re.compile(r"((?:[\s>]|[-*+][ \t]|\d{1,9}[.)][ \t])*)(`{3,}(?=[^`]*$)|~{3,})(.*)$")
_SPAN = re.compile(
    r"(?<![\\`])(?P<ticks>`+)(?!`).{1,4000}?(?<!`)(?P=ticks)(?!`)"
    r"|(?<!\\)\$\$(?P<display>[^$]+)\$\$"
    r"|(?<![\\$])\$(?P<inline>[^\s$](?:[^$]*[^\s$])?)\$(?!\d)"
    r"|(?<!\\)\\\((?P<round>(?:(?!\\[()]).){1,1000})\\\)"
    r"|(?<!\\)\\\[(?P<square>(?:(?!\\[\[\]]).){1,1000})\\\]"
)
"""Code, or a formula. "$5 and $10" is money: a sign closes after ink, and before no digit."""
_RISKY = re.compile(r"<(?=[A-Za-z/!?])|!\[|\]\((?!https?://)|\]:|\[[ xX]\](?=\s)|`{3,}|~{3,}|:{3,}")
"""What could begin a tag, an image, a link that leads elsewhere than to the web, its definition,
a box to tick, a block that is drawn."""
_FORMULA_SIGN = re.compile(r"\\*\$|\\+(?=begin|end|(?:eq)?ref|[()\[\]])")
"""What MathJax takes for the beginning of a formula, in the finished page."""
_SIGN = re.compile(
    rf"(?P<formula>{_FORMULA_SIGN.pattern})|(?P<slashes>\\*)(?P<risk>{_RISKY.pattern})"
)
"""Backslashes go with what follows them: before what is put in its place they would unmake it."""
_SPECIAL = re.compile(r"[`$\\<\]~&]|!\[|:::")
"""One of these is in every line that has more than words to it; most have none."""
_ENTITY = re.compile(r"&(?=#?\w+;)")


def escape(text: str) -> str:
    """`text` as Markdown in which HTML is text, nothing is fetched or drawn but formulas, and
    links lead to the web or nowhere.

    Code and formulas stay what they are where nothing in them could be more for a parser that
    reads them as text; else they are written as HTML, sign by sign. A code block that was cut off
    is closed, so that it cannot swallow what follows. Of a text over MAX_CHARS the rest is left
    out, and its size stands in its place.
    """
    if len(text) > MAX_CHARS:
        left_out = f"… {len(text) - MAX_CHARS:,} more characters: the output's plain text has them."
        return f"{escape(text[:MAX_CHARS])}\n\n{left_out}"
    lines = text.splitlines()
    formulas = _Formulas()
    out: list[str] = []
    at = 0
    while at < len(lines):
        if fence := _FENCE.match(lines[at]):
            end = _end_of_code(lines, at, fence[2])
            out += _code_block(fence, lines[at + 1 : end], lines[end : end + 1])
            at = end + 1
        elif (end := _end_of_formula(lines, at)) > at:
            formula = formulas.take("\n".join(lines[at:end]))
            out.append(formula or _pre("", lines[at:end]))
            at = end
        else:
            out.append(_escape_line(lines[at], formulas))
            at += 1
    return "\n".join(out)


def inert(text: str) -> str:
    """One line in which no sign is Markdown, HTML or a formula: for a table's cell."""
    return "".join(
        sign if sign.isalnum() or sign in " ,.;()'\"%°+=?!→…-" else _entity(sign) for sign in text
    )


def html_text(text: str) -> str:
    """`text` for an element of an HTML output, where JupyterLab looks for formulas too."""
    return _FORMULA_SIGN.sub(
        lambda signs: "".join(map(_entity, signs[0])), html.escape(text, quote=False)
    )


class _Formulas:
    """Which formulas of a text stay formulas."""

    def __init__(self) -> None:
        self._left = MAX_FORMULAS

    def take(self, formula: str) -> str:
        """The formula as it may stand in Markdown; empty where it may not."""
        # a space means nothing in a formula, and an entity would show
        formula = _RISKY.sub(lambda sign: f"{sign[0][0]} {sign[0][1:]}", formula)
        if self._left <= 0 or _RISKY.search(formula) or not _is_plain(formula):
            return ""
        self._left -= 1
        return formula


def _is_plain(formula: str) -> bool:
    """Whether MathJax would draw signs and nothing else, and soon."""
    return (
        len(formula) <= _FORMULA_CHARS
        and not _ENTITY.search(formula)
        and not re.search(r"\*\s*\{\s*\d", formula)  # columns repeated a million times
        and all(
            len(w) == 1 or w in _PLAIN["tex_commands"]
            for w in re.findall(r"\\([A-Za-z]+)", formula)
        )
        and _closes_environments(formula)
        and _depth(formula) <= _FORMULA_DEPTH
    )


def _closes_environments(formula: str) -> bool:
    """Whether each `\\begin` of a listed environment has its `\\end` here: MathJax takes one
    without for the beginning of a formula that goes on in the text after it."""
    begun: list[str] = []
    for sign, name in re.findall(r"\\(begin|end)\b\s*(?:\{([^}]*)\}?)?", formula):
        if name not in _PLAIN["tex_environments"]:
            return False
        if sign == "begin":
            begun.append(name)
        elif not begun or begun.pop() != name:
            return False
    return not begun


def _depth(formula: str) -> int:
    depth = deepest = 0
    for sign in re.findall(r"[{}]|\\(?:begin|left|sqrt|[dt]?frac)\b|\\(?:end|right)\b", formula):
        depth += -1 if sign in ("}", "\\end", "\\right") else 1
        deepest = max(deepest, depth)
    return deepest


def _end_of_code(lines: list[str], at: int, mark: str) -> int:
    """The line that closes the code block, or that after the last."""
    for end in range(at + 1, len(lines)):
        fence = _FENCE.match(lines[end])
        if fence and fence[2].startswith(mark) and not lines[end].strip(" >`~\t"):
            return end
    return len(lines)


def _end_of_formula(lines: list[str], at: int) -> int:
    """The line after a $$ formula of several lines that begins here; `at` where none does."""
    if not lines[at].startswith("$$") or "$" in lines[at][2:]:
        return at
    size = 0
    for end in range(at + 1, len(lines)):
        size += len(lines[end])
        if size > _FORMULA_CHARS or not lines[end].strip():
            return at
        if "$" in lines[end]:
            closes = lines[end].rstrip().endswith("$$") and lines[end].count("$") == 2
            return end + 1 if closes else at
    return at


def _code_block(fence: re.Match[str], lines: list[str], closing: list[str]) -> list[str]:
    before, mark, info = fence[1], fence[2], fence[3]
    if before.strip(" >\t") or any(_is_risky_code(line) for line in lines):
        return [_pre(before, lines)]
    language = re.match(r"[\w+#-]*", info.strip().lower())
    name = language[0] if language and language[0] in _PLAIN["languages"] else ""
    return [f"{before}{mark}{name}", *lines, *(closing or [before + mark])]


def _is_risky_code(line: str) -> bool:
    """Whether a parser that took the line for text could find more in it than text."""
    return bool(_RISKY.search(line) or (_FORMULA_SIGN.search(line) and not _is_plain(line)))


def _pre(before: str, lines: list[str]) -> str:
    return f"{before}<pre><code>{'&#10;'.join(map(_entities, lines))}</code></pre>"


def _escape_line(line: str, formulas: _Formulas) -> str:
    if not _SPECIAL.search(line):
        return line
    out, at = [], 0
    for span in _SPAN.finditer(line):
        before = line[at : span.start()]
        text = before.rstrip("\\")  # a backslash would unmake the tag that may follow
        out.append(_escape_text(text) + "".join(map(_entity, before[len(text) :])))
        out.append(_escape_span(span, formulas))
        at = span.end()
    return "".join([*out, _escape_text(line[at:])])


def _escape_span(span: re.Match[str], formulas: _Formulas) -> str:
    if span["ticks"]:
        if not _is_risky_code(span[0]):
            return span[0]
        return f"<code>{_entities(span[0].strip('`'))}</code>"
    display = span["display"] or span["square"]
    formula = formulas.take((display or span["inline"] or span["round"]).strip())
    if not formula or "$" in formula:
        return f"<code>{_entities(span[0])}</code>"
    return f"$${formula}$$" if display else f"${formula}$"


def _escape_text(text: str) -> str:
    return _SIGN.sub(_escape_sign, _ENTITY.sub("&amp;", text))


def _escape_sign(found: re.Match[str]) -> str:
    if signs := found["formula"]:
        return _entity("$") if signs[-1] == "$" else "".join(map(_entity, signs))
    before, risk = "".join(map(_entity, found["slashes"])), found["risk"]
    if risk == "<":
        return f"{before}&lt;"
    kept = "" if risk[0] in "`~:" else risk[0]
    return before + kept + _entities(risk[len(kept) :])


def _entities(code: str) -> str:
    """Nothing that Markdown or HTML could take for a sign; letters, digits and spaces stay."""
    return "".join(c if c.isalnum() or c == " " else f"&#{ord(c)};" for c in code)


def _entity(sign: str) -> str:
    """A sign that Markdown does not see; MathJax, which reads the finished page, meets it alone
    in an element, where it opens nothing."""
    code = f"&#{ord(sign)};"
    return f"<span>{code}</span>" if sign in "$\\" else code
