"""PYODIDE_DIST: packages of Pyodide's own distribution get into the site, and a page imports them.
The distribution here is made by the test: small wheels of the right names and tags."""

from __future__ import annotations

import hashlib
import json
import runpy
import shutil
import zipfile
from pathlib import Path
from typing import Any

import pytest
from servers import folder_served

from . import site
from .site import ROOT, Page

pytestmark = pytest.mark.browser

VENV = ROOT / ".venv-lite"
TAGS = "cp314-cp314-pyemscripten_2026_0_wasm32"
BUILD = runpy.run_path(str(ROOT / "deploy" / "lite" / "build.py"))


@pytest.fixture
def distribution(tmp_path: Path) -> Path:
    """numpy 9.9.1 and Pillow 9.9.2, each a module that knows its version, and their lock."""
    if not (VENV / ".ready").exists():
        pytest.skip("nothing to build from: make lite")
    folder = tmp_path / "distribution"
    folder.mkdir()
    core = json.loads((VENV / "node_modules" / "pyodide" / "pyodide-lock.json").read_bytes())
    packages = {
        "numpy": _wheel(folder, "numpy", "9.9.1", "numpy"),
        "pillow": _wheel(folder, "Pillow", "9.9.2", "PIL"),
    }
    lock = {"info": core["info"], "packages": packages}
    (folder / "pyodide-lock.json").write_text(json.dumps(lock), encoding="utf-8")
    return folder


def _wheel(folder: Path, name: str, version: str, module: str) -> dict[str, Any]:
    """A wheel of one module, and its row of the lock."""
    path = folder / f"{name.lower()}-{version}-{TAGS}.whl"
    info = f"{name.lower()}-{version}.dist-info"
    with zipfile.ZipFile(path, "w") as wheel:
        wheel.writestr(f"{module}/__init__.py", f"__version__ = {version!r}\n")
        metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
        wheel.writestr(f"{info}/METADATA", metadata)
        tag = f"Wheel-Version: 1.0\nRoot-Is-Purelib: false\nTag: {TAGS}\n"
        wheel.writestr(f"{info}/WHEEL", tag)
        wheel.writestr(f"{info}/RECORD", "")
    return {
        "name": name,
        "version": version,
        "file_name": path.name,
        "install_dir": "site",
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        "package_type": "package",
        "imports": [module],
        "depends": [],
        "unvendored_tests": False,
    }


def test_its_wheels_are_beside_pyodide_in_the_lock_and_importable_in_a_page(
    distribution: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not (site.SITE / "index.html").exists() or not Path(site.CHROMIUM).exists():
        pytest.skip("no site (make lite), or no chromium")
    monkeypatch.setenv("PYODIDE_DIST", str(distribution))
    built = tmp_path / "site"
    pyodide = built / "static" / "pyodide"
    shutil.copytree(site.SITE, built, ignore=shutil.ignore_patterns("pyodide"))
    BUILD["packages"](VENV, pyodide)
    lock = json.loads((pyodide / "pyodide-lock.json").read_bytes())["packages"]
    for name, version in (("numpy", "9.9.1"), ("pillow", "9.9.2")):
        assert lock[name]["version"] == version
        assert (pyodide / lock[name]["file_name"]).exists()

    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright, folder_served(built, f"/{site.BELOW}") as address:
        context = site.launch(playwright, tmp_path / "profile")
        page = Page(context, address, "00_start_here.ipynb")
        page.wait_for_kernel()
        inside = "def version():\n    import PIL\n    return PIL.__version__"
        page.replace_cells(
            ["import numpy\nprint(numpy.__version__)", f"{inside}\nprint(version())"]
        )
        page.run_all(300)
        assert (page.text(0).strip(), page.text(1).strip()) == ("9.9.1", "9.9.2")
        assert page.elsewhere == []
        context.close()


def test_a_distribution_of_another_python_is_refused(
    distribution: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock = distribution / "pyodide-lock.json"
    lock.write_text(lock.read_text().replace('"abi_version": "2', '"abi_version": "1'))
    monkeypatch.setenv("PYODIDE_DIST", str(distribution))
    with pytest.raises(SystemExit, match="this page's Pyodide has"):
        BUILD["packages"](VENV, tmp_path / "site" / "static" / "pyodide")
