"""The ways in besides `make`: each says what the lock and the package say."""

import os
import re
import shutil
import subprocess
import sys
import tomllib
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import pytest
import yaml

from kit import __version__
from kit.hardware import SGLANG

ROOT = Path(__file__).parents[1]


def read(name):
    return (ROOT / name).read_text(encoding="utf-8")


def test_the_changelog_begins_with_this_version():
    assert re.findall(r"^## (\S+)", read("CHANGELOG.md"), re.M)[0] == __version__


def test_the_readme_names_the_wheel_that_is_built():
    wheels = set(
        re.findall(r"qwen35_serving_kit-([\d.]+)-py3-none-any\.whl", read("docs/where-it-runs.md"))
    )
    assert wheels == {__version__}


def pins():
    spec = spec_from_file_location("pins", ROOT / "deploy" / "pins.py")
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_conda_and_binder_install_what_the_lock_says():
    for name, text in pins().written().items():
        assert read(name) == text, f"{name} is not what `python deploy/pins.py` writes"


def conda_pip(name):
    found = yaml.safe_load(read(name))["dependencies"]
    (pip,) = (part["pip"] for part in found if isinstance(part, dict))
    return pip


def test_conda_installs_every_dependency_and_says_what_each_is_for():
    names = {re.split(r"[=\s;]", line)[0] for line in conda_pip("environment.yml")}
    asked = tomllib.loads(read("pyproject.toml"))["project"]["dependencies"]
    assert {re.split(r"[^\w.-]", line)[0] for line in asked} <= names
    assert not {"ruff", "mypy", "playwright", "hypothesis"} & names
    for file in ("environment.yml", "environment-sglang.yml"):
        for line in read(file).splitlines():
            if line.startswith(("      - ", "  - py")):
                assert re.search(r"  # .*\w", line), line


def test_the_servers_environment_has_the_release_that_commands_are_written_for():
    assert conda_pip("environment-sglang.yml") == [f"sglang=={SGLANG}"]


def test_binder_installs_by_hash_from_a_file_that_needs_no_other():
    text = read("binder/requirements.txt")
    assert len(re.findall(r"^[a-z0-9].*==", text, re.M)) > 100
    for entry in re.split(r"^(?=[a-z0-9])", text, flags=re.M)[1:]:
        assert "--hash=sha256:" in entry
    assert not re.search(r"^-", text, re.M)
    assert (ROOT / "binder" / "start").stat().st_mode & 0o111


@pytest.mark.skipif(not shutil.which("make"), reason="asks make")
@pytest.mark.parametrize(
    ("target", "does"), [("setup", "-m kit.setup --tests"), ("lab", "-m kit.setup")]
)
def test_make_sets_up_as_one_does_without_make(target, does):
    made = subprocess.run(
        ["make", "--no-print-directory", "--dry-run", target],
        env={k: v for k, v in os.environ.items() if not k.startswith(("MAKE", "MFLAGS"))},
        cwd=ROOT, capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    assert made.splitlines()[0].endswith(does)


def test_setup_imports_nothing_that_is_not_pythons_own():
    code = "import kit.setup, sys; print(*{n.split('.')[0] for n in sys.modules})"
    code = f"import sys; sys.path.insert(0, {str(ROOT)!r}); {code}"
    bare = [sys.executable, "-I", "-S", "-c", code]
    ran = subprocess.run(bare, capture_output=True, text=True, check=True)
    assert {name for name in ran.stdout.split() if name not in sys.stdlib_module_names} <= {
        "kit",
        "__main__",
    }
