"""The ways in besides `make`: each says what the lock and the package say."""

import re
from pathlib import Path

from kit import __version__

ROOT = Path(__file__).parents[1]


def read(name):
    return (ROOT / name).read_text(encoding="utf-8")


def test_the_changelog_begins_with_this_version():
    assert re.findall(r"^## (\S+)", read("CHANGELOG.md"), re.M)[0] == __version__


def test_the_readme_names_the_wheel_that_is_built():
    wheels = set(re.findall(r"qwen35_serving_kit-([\d.]+)-py3-none-any\.whl", read("README.md")))
    assert wheels == {__version__}
