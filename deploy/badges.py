"""A Binder badge per lesson in the README's table, once the repository has a public address.

python deploy/badges.py OWNER/NAME       # on GitHub; again with another address: replaced
"""

from __future__ import annotations

import re
import sys
from pathlib import Path
from urllib.parse import quote

README = Path(__file__).resolve().parents[1] / "README.md"
IMAGE = "https://mybinder.org/badge_logo.svg"
ROW = re.compile(
    r"^(\| \d\d \| )\[(\w+)\]\((notebooks/[\w.]+)\)(?: \[!\[.*?\]\(.*?\)\]\(.*?\))?", re.M
)


def with_badges(readme: str, repository: str) -> str:
    """The README with a badge behind each lesson's name, which opens it in JupyterLab."""

    def row(found: re.Match[str]) -> str:
        start, name, path = found.groups()
        opens = quote(f"lab/tree/{path}", safe="")
        address = f"https://mybinder.org/v2/gh/{repository}/HEAD?urlpath={opens}"
        alt = f"Open lesson {name[:60].replace('_', ' ')} on Binder, in JupyterLab"
        return f"{start}[{name}]({path}) [![{alt}]({IMAGE})]({address})"

    return ROW.sub(row, readme)


if __name__ == "__main__":
    if len(sys.argv) != 2 or not re.fullmatch(r"[\w.-]+/[\w.-]+", sys.argv[1]):
        sys.exit("→ python deploy/badges.py OWNER/NAME")
    text = with_badges(README.read_text(encoding="utf-8"), sys.argv[1])
    README.write_text(text, encoding="utf-8", newline="\n")
