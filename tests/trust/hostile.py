"""What a hostile model could say, by what it tries. `{fetch}` stands for an address that must not
be asked, `{run}` for code that must not run; `texts` fills them in.

The short ones go through every place of a page; LONG are bombs, for the time that drawing takes.
"""

from __future__ import annotations

import re
from collections.abc import Callable

_FENCED = [
    f"{prefix}{mark}mermaid\n{indent}flowchart LR\n"
    f'{indent}  A@{{{{ img: "{{fetch}}", label: "x" }}}} --> B\n{indent}{mark}'
    for prefix, indent in (("", ""), ("> ", "> "), ("- ", "  "), ("1. ", "   "), ("   ", "   "))
    for mark in ("```", "~~~~")
]

_DRAWN = re.findall(
    r"\S+",
    "math geojson topojson stl svg html graphviz dot plantuml vega vega-lite kroki latex katex abc "
    "wavedrom excalidraw drawio markmap ditaa d2 nomnoml embed iframe csv",
)

SHORT: dict[str, str] = {
    "script": "<script>{run}</script> <SCRIPT src={fetch}></SCRIPT> <script\n>{run}</script\n>",
    "handlers": '<img src=x onerror="{run}"> <svg onload="{run}"> <details open ontoggle="{run}">'
    ' <input autofocus onfocus="{run}"> <marquee onstart="{run}"> <body onload="{run}">',
    "resources": "<img src={fetch}> <video poster={fetch} src={fetch}></video> <audio src={fetch}>"
    ' <link rel=stylesheet href={fetch}> <style>@import "{fetch}";</style> <object data={fetch}>'
    ' <embed src={fetch}> <table background={fetch}> <p style="background:url({fetch})">'
    " <input type=image src={fetch}> <picture><source srcset={fetch}></picture>",
    "frames": '<iframe src="javascript:parent.{run}"></iframe> <iframe srcdoc="<script>parent.{run}'
    '</script>"></iframe> <meta http-equiv=refresh content="0;url={fetch}"> <base href={fetch}>'
    ' <form action={fetch}><button formaction="javascript:{run}">x</button></form>',
    "images": "![a]({fetch}) ![b][r]\n\n[r]: {fetch}\n\n![c](<{fetch}>) [![d]({fetch})]({fetch})"
    "\n\n!\\[e]({fetch}) `x`![f]({fetch}) **!**[g]({fetch}) &#33;[h]({fetch}) $a$![i]({fetch})\n\n"
    "> ![j]({fetch})\n\n- ![k]({fetch})\n\n| ![l]({fetch}) |\n|---|\n| `|` ![m]({fetch}) |",
    "links": "[a](javascript:{run}) [b](JaVaScRiPt:{run}) [c](&#106;avascript:{run})\n\n"
    "[d](data:text/html,<script>{run}</script>) <javascript:{run}> [e][j]\n\n[j]: javascript:{run}"
    '\n\n[f](https://e.invalid/"onclick="{run}) [g](vbscript:x) [h](file:///etc/passwd)',
    "false code": '`<img src=x onerror="{run}">` ``<img src=x onerror="{run}">` `\n\n'
    '    ```\n<img src=x onerror="{run}">\n\n1. ```\n<img src=x onerror="{run}">\n   ```\n\n'
    '> ```\n<img src=x onerror="{run}">\n\n``` a`b\n<img src=x onerror="{run}">\n```\n\n'
    "| `<img src=x onerror={run}> | ` |\n|---|---|",
    "cut off": '```html\n<img src={fetch} onerror="{run}">',
    "comments": "<!-- <img src={fetch}> --> <!--> <img src=x onerror={run}> --> <![CDATA[<img src=x"
    " onerror={run}>]]> <?x <img src=x onerror={run}> ?> "
    "<!doctype x [<!ENTITY a SYSTEM '{fetch}'>]>",
    "mutation": "<math><mtext><table><mglyph><style><!--</style><img title='--&gt;&lt;img src=x"
    " onerror={run}&gt;'> <noscript><p title='</noscript><img src=x onerror={run}>'>",
    "our own tags": "</details></code></pre></span><img src=x onerror={run}>\n\n</details>\n\n"
    "<details open><summary>x</summary><img src={fetch}></details> </think></div></section>",
    "diagrams": "\n\n".join(_FENCED),
    "diagrams, other spellings": "\n\n".join(
        f"```{info}\nflowchart LR\n A[\"<img src='{{fetch}}'>\"] --> B\n click A href"
        ' "javascript:{run}"\n style A fill:url({fetch})\n```'
        for info in ("Mermaid", "MERMAID", " mermaid", "mermaid x=1", "{{mermaid}}", "{{.mermaid}}")
    )
    + "\n\n::: mermaid\nflowchart LR\n A --> B\n:::\n\n````\n```mermaid\npie\n```\n````\n\n"
    "    ````\n\n```mermaid\npie\n```\n\n- [ ] ```mermaid\n  pie\n  ```",
    "what hosts draw": "\n\n".join(f"```{info}\n{{fetch}}\n```" for info in _DRAWN)
    + "\n\n:::{{raw}} html\n<img src={fetch}>\n:::\n\n{{raw}}`html`<img src={fetch}>",
    "formulas that link": "$\\href{{javascript:{run}}}{{x}}$ $$\\url{{javascript:{run}}}$$\n\n"
    "\\(\\href{{data:text/html,x}}{{y}}\\) \\\\(\\href{{javascript:{run}}}{{z}}\\\\)\n\n"
    "\\begin{{equation}}\\href{{javascript:{run}}}{{x}}\\end{{equation}}\n\n"
    "$$\n\\href{{javascript:{run}}}{{x}}\n$$\n\n&#36;\\href{{javascript:{run}}}{{x}}&#36;\n\n"
    "costs $5 \\href{{javascript:{run}}}{{x}} and $6 | $\\hre&#102;{{javascript:{run}}}{{x}}$",
    "formulas that fetch": "$\\includegraphics{{{fetch}}}$ "
    "$\\style{{background:url({fetch})}}{{x}}$ "
    "$\\class{{a}}{{b}} \\cssId{{a}}{{b}} \\bbox[border:url({fetch})]{{x}}$"
    " $\\unicode[x'; background:url({fetch})]{{65}}$ $\\require{{html}}$ $\\htmlStyle{{background:"
    'url({fetch})}}{{x}}$ $\\text{{<img src=x onerror="{run}">}}$',
    "formulas that define": "$\\def\\a{{\\a\\a}}\\a$ $\\let\\b\\b\\b$ "
    "$\\newcommand{{\\c}}{{\\c}}\\c$ $\\gdef\\d{{\\d x}}$ $\\d$ $\\rule{{99999em}}{{99999em}}$ "
    "$\\begin{{array}}{{*{{9999999}}{{c}}}}\\end{{array}}$",
    "terminal": "\x1b[31mred\x1b[0m \x1b]0;title\x07 \x1b]52;c;aGk=\x07 \x1b[2J \x9b31m",
    "signs": "\u202e gnp.exe \u2066 x \u2069 \ufeff \x07 \x08 \r over \x0b \x0c \ufffe \u2028 e"
    + "\u0301" * 500,
    "template": "{{{{ 7*7 }}}} {{% raw %}}<img src={fetch}>{{% endraw %}} [^1]\n\n"
    "[^1]: ![a]({fetch})",
    "special tokens": "a</think>b<think>c <tool_call><function=f></function></tool_call>"
    " <|im_end|><|im_start|>system\nx<|endoftext|>",
}

LONG: dict[str, str] = {
    "opening formula signs": "\\(" * 20_000,
    "opening display signs": "\\[" * 30_000,
    "display signs on lines": "$$\n" * 20_001,
    "money": "$1" * 60_000,
    "dollars": "$a" * 50_000,
    "twenty thousand formulas": "$x$ " * 20_000,
    "different formulas": "".join(f"$x_{{{i}}}$ " for i in range(3000)),
    "display formulas": "".join(f"$$\\sum_{{i={i}}}^n i$$\n\n" for i in range(3000)),
    "deep braces": "$" + "{" * 100_000 + "x" + "}" * 100_000 + "$",
    "deep roots": "$$" + "\\sqrt{" * 3000 + "x" + "}" * 3000 + "$$",
    "roots without braces": "$" + "\\sqrt" * 500 + "x$",
    "fractions": "$$" + "\\frac{" * 500 + "1" + "}{2}" * 500 + "$$",
    "matrices": "$$" + "\\begin{matrix}" * 150 + "x" + "\\end{matrix}" * 150 + "$$",
    "definitions": "$\\def\\a{" + "x" * 900 + "}" + "\\a" * 900 + "$",
    "one formula of a megabyte": "$" + "x+" * 500_000 + "x$",
    "columns": "$$\\begin{array}{" + "c" * 900 + "}" + "a&" * 900 + "\\end{array}$$",
    "emphasis": "*a_" * 30_000,
    "nested emphasis": "*_" * 20_000 + "a" + "_*" * 20_000,
    "brackets": "[" * 50_000,
    "links": "[a](http://e.invalid) " * 45_000,
    "ticks": "".join("`" * i + " " for i in range(1, 400)),
    "quotes": ">" * 20_000 + "x",
    "lists": "".join(" " * (2 * i) + "- x\n" for i in range(600)),
    "wide table": "|" * 2000 + "\n" + "|-" * 2000 + "|\n" + "|\n" * 3000,
    "long table": "|a|b|\n|-|-|\n" + "|$x$|`y`|\n" * 60_000,
    "references": "".join(f"[a{i}]: https://e.invalid/{i}\n" for i in range(20_000)),
    "angles": "<" * 100_000,
    "code lines": "```python\n" + "x = 1\n" * 160_000 + "```\n",
    "paragraphs": "word word word\n\n" * 60_000,
    "bold": "**a** " * 160_000,
    "one word": "x" * 1_000_000,
    "one line": "word " * 200_000,
}


def texts(fetch: Callable[[], str], run: Callable[[], str]) -> dict[str, str]:
    """SHORT with an address and a piece of code of its own at each place."""

    def filled(text: str) -> str:
        found = re.sub(r"\{fetch\}", lambda _: fetch(), text)
        found = re.sub(r"\{run\}", lambda _: run(), found)
        return found.replace("{{", "{").replace("}}", "}")

    return {name: filled(text) for name, text in SHORT.items()}
