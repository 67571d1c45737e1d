"""Memory of ten open lessons: their kernels and their twins, by proportional set size.

python benchmarks/memory.py [LESSONS, 10]

Each lesson is run in a kernel of its own, through its first streamed answer; one without any, to
its end. All kernels stay open. The proportional set size (PSS) of a process is its own memory and
its part of what it shares. Linux only.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import nbformat
import psutil
from jupyter_client.blocking.client import BlockingKernelClient
from jupyter_client.manager import KernelManager

from kit.course.lessons import lessons
from kit.twin.shared import FOLDER

STREAMS = re.compile(r"StreamView\(|compare\(endpoint|versus\(|live_bench\(|stream=True")
HEAVY = ("numpy", "PIL", "plotly", "openai", "pydantic", "ipywidgets", "papermill", "tiktoken")
LOADED = f"import sys; print(*(name for name in {HEAVY!r} if name in sys.modules))"
TIMEOUT_S = 120


def cells(lesson: Path) -> list[str]:
    """The code of a lesson through its first streamed answer."""
    code = [c.source for c in nbformat.read(lesson, as_version=4).cells if c.cell_type == "code"]
    first = next((i for i, source in enumerate(code) if STREAMS.search(source)), len(code))
    return code[: first + 1]


def printed(client: BlockingKernelClient, source: str) -> str:
    """Run a cell. Returns what it printed; raises where it failed."""
    said = []

    def keep(message: dict[str, dict[str, str]]) -> None:
        said.append(message["content"].get("text", ""))

    reply = client.execute_interactive(source, timeout=TIMEOUT_S, output_hook=keep)
    if reply["content"]["status"] != "ok":
        raise SystemExit(f"{reply['content']['ename']}: {reply['content']['evalue']}")
    return "".join(said).strip()


def pss_mb(pid: int) -> float:
    rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
    return int(re.search(r"^Pss:\s+(\d+)", rollup, re.M)[1]) * 1024 / 1e6


def main() -> None:
    opened = lessons()[: int(sys.argv[1]) if len(sys.argv) > 1 else 10]
    os.environ[FOLDER] = tempfile.mkdtemp()
    kernels = {}
    try:
        for lesson in opened:
            kernel = KernelManager(kernel_name="python3")
            kernel.start_kernel(cwd=lesson.parent, stderr=subprocess.DEVNULL)
            kernels[lesson.stem] = kernel, kernel.blocking_client()
        loaded = {}
        for lesson in opened:
            _, client = kernels[lesson.stem]
            client.start_channels()
            client.wait_for_ready(TIMEOUT_S)
            for source in cells(lesson):
                printed(client, source)
            loaded[lesson.stem] = printed(client, LOADED)
        report(loaded)
    finally:
        for kernel, client in kernels.values():
            client.stop_channels()
            kernel.shutdown_kernel(now=True)
        shutil.rmtree(os.environ[FOLDER])


def report(loaded: dict[str, str]) -> None:
    processes = psutil.Process().children(recursive=True)
    twins = [p for p in processes if "kit.twin" in p.cmdline()]
    kernels = [p for p in processes if "ipykernel_launcher" in p.cmdline()]
    sizes = [pss_mb(p.pid) for p in kernels]
    for (name, modules), size in zip(loaded.items(), sizes, strict=True):
        print(f"{name:<18} {size:5.0f} MB   {modules}")
    theirs = sum(map(pss_mb, (p.pid for p in twins)))
    others = sum(pss_mb(p.pid) for p in processes if p not in twins + kernels)
    print(f"{len(kernels)} kernels {sum(sizes):,.0f} MB, {len(twins)} twins {theirs:,.0f} MB")
    print(f"in all {sum(sizes) + theirs + others:,.0f} MB")


if __name__ == "__main__":
    main()
