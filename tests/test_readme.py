"""The README and the pages beside it say what is so: lessons, minutes, commands, links."""

import re
import shlex
from pathlib import Path

import pytest

from kit.cli.main import parser
from kit.course import minutes
from kit.course.lessons import lessons

ROOT = Path(__file__).parents[1]
PAGES = ["README.md", "CONTRIBUTING.md", "INSTRUCTOR.md", "docs/command-line.md"]
TEXTS = {page: (ROOT / page).read_text(encoding="utf-8") for page in PAGES}
README, TEXT = TEXTS["README.md"], "\n".join(TEXTS.values())
COMMANDS = [
    line.split("#")[0].strip()
    for block in re.findall(r"```bash\n(.*?)```", TEXT, re.S)
    for line in block.splitlines()
] + re.findall(r"`((?:kit|make) [^`]*)`", TEXT)


def test_its_table_is_that_of_the_lessons():
    assert minutes.readme(README) == README, "python -m kit.course.minutes --write"
    assert re.findall(r"\(notebooks/(\w+)\.ipynb\)", README) == [path.stem for path in lessons()]


@pytest.mark.parametrize("line", [line for line in COMMANDS if line.startswith("kit ")])
def test_its_commands_are_commands(line):
    parser().parse_args([word for word in shlex.split(line)[1:] if word != "--help"])


@pytest.mark.parametrize("line", [line for line in COMMANDS if line.startswith("make ")])
def test_its_targets_are_targets(line):
    rules = [ROOT / "Makefile", *ROOT.glob("*/rules.mk"), *ROOT.glob("deploy/*/rules.mk")]
    targets = set(re.findall(r"^([a-z-]+):", "\n".join(r.read_text() for r in rules), re.M))
    assert line.split()[1] in targets


@pytest.mark.parametrize("page", PAGES)
def test_its_links_lead_somewhere(page):
    links = re.findall(r"\]\((?!http)([^)#]+)\)", TEXTS[page])
    assert links
    for link in links:
        assert ((ROOT / page).parent / link).exists(), link


def test_the_readme_is_about_one_screen():
    assert len(README.splitlines()) <= 45


def test_every_picture_says_what_it_shows():
    for alt in re.findall(r"!\[(.*?)\]", TEXT):
        assert len(alt) > 40
