"""The benchmarks of SGLang and vLLM on the same server, run where they are installed.

    tool = installed()[0]
    report = await tool.run(endpoint, workload)     # a Report like any other, from their file

These tools read the clock of this machine: against a twin, give one whose clock is not faster.
"""

from __future__ import annotations

import importlib.util
import shlex
import shutil
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from math import isinf
from pathlib import Path

from kit.bench import result_file
from kit.bench.report import Report
from kit.bench.workload import Workload
from kit.endpoint import Endpoint
from kit.errors import InvalidValue, KitError
from kit.provenance import Kind, Provenance
from kit.server import cpu
from kit.server.processes import finished

TIMEOUT_S = 600.0


@dataclass(frozen=True)
class ExternalTool:
    """A benchmark tool of another project. `argv` starts it; empty where it is not installed."""

    name: str
    argv: tuple[str, ...]
    typed: str
    arguments: Callable[[Endpoint, Workload], list[str]]
    file_flags: tuple[str, ...]
    extra: tuple[str, ...] = ()

    def command(self, endpoint: Endpoint, workload: Workload) -> str:
        """The command to type in a shell."""
        return f"{self.typed} {shlex.join(self.arguments(endpoint, workload))}"

    async def run(self, endpoint: Endpoint, workload: Workload) -> Report:
        """Run it, and read what it wrote. Ends with the task that awaits it.

        Raises KitError where it is not installed or fails; InvalidValue for a twin whose clock
        runs faster or slower than real time.
        """
        if not self.argv:
            raise KitError(f"{self.name} is not installed here", f"pip install {self.name}")
        if endpoint.speed != 1:
            raise InvalidValue(
                f"{self.name} cannot know that this twin's clock runs ×{endpoint.speed:g}",
                "connect to one with speed=1",
            )
        with tempfile.TemporaryDirectory(prefix="kit-bench-") as folder:
            file = Path(folder) / "result.json"
            flags = [flag.format(folder=folder, name=file.name) for flag in self.file_flags]
            output, code = await finished(
                [*self.argv, *self.arguments(endpoint, workload), *self.extra, *flags], TIMEOUT_S
            )
            if code or not file.is_file():
                last = (output.strip().splitlines() or ["it printed nothing"])[-1]
                raise KitError(f"{self.name} failed: {last}", "run its command in a shell")
            provenance = endpoint.provenance
            if provenance.kind is Kind.SIMULATED:
                provenance = Provenance(provenance.kind, f"{provenance.source}, by {self.name}")
            return result_file.read(file, provenance)[0]


def tools() -> tuple[ExternalTool, ExternalTool]:
    """SGLang's and vLLM's, installed or not."""
    argv, tokenizer = _sglang()
    sglang = ExternalTool(
        "sglang",
        argv,
        "python -m sglang.bench_serving",
        sglang_arguments,
        ("--output-file", "{folder}/{name}"),
        ("--tokenizer", tokenizer) if tokenizer else (),
    )
    found = shutil.which("vllm")
    vllm = ExternalTool(
        "vllm",
        (found, "bench", "serve") if found else (),
        "vllm bench serve",
        vllm_arguments,
        ("--save-result", "--result-dir", "{folder}", "--result-filename", "{name}"),
    )
    return sglang, vllm


def installed() -> tuple[ExternalTool, ...]:
    """Those of `tools()` that are installed here."""
    return tuple(tool for tool in tools() if tool.argv)


def sglang_arguments(endpoint: Endpoint, workload: Workload) -> list[str]:
    """For `sglang.bench_serving`: random tokens sent as numbers, so that no data set is needed.

    Raises InvalidValue for a workload with images.
    """
    return [
        *("--backend", "sglang", "--base-url", endpoint.base_url, "--model", endpoint.model),
        *("--dataset-name", "random-ids", "--tokenize-prompt"),
        *_common(workload),
        *("--random-range-ratio", f"{workload.range_ratio:g}"),
    ]


def vllm_arguments(endpoint: Endpoint, workload: Workload) -> list[str]:
    """For `vllm bench serve`, whose lengths spread around the given one: only exact ones match.

    Raises InvalidValue for a workload of other lengths, or with images.
    """
    if workload.range_ratio != 1:
        raise InvalidValue(
            "vllm bench serve draws lengths by another rule",
            "compare on exact lengths: Workload(…, range_ratio=1)",
        )
    return [
        *("--backend", "openai", "--base-url", endpoint.base_url, "--model", endpoint.model),
        *("--dataset-name", "random", "--ignore-eos"),
        *_common(workload),
    ]


def _common(workload: Workload) -> list[str]:
    if workload.dataset == "image":
        raise InvalidValue(
            "a workload with images", "type their command with --dataset-name image in a shell"
        )
    rate = "inf" if isinf(workload.request_rate) else f"{workload.request_rate:g}"
    limit = workload.max_concurrency
    return [
        *("--random-input-len", str(workload.input_len)),
        *("--random-output-len", str(workload.output_len)),
        *("--num-prompts", str(workload.num_prompts)),
        *(("--max-concurrency", str(limit)) if limit else ()),
        *("--request-rate", rate, "--seed", str(workload.seed)),
    ]


def _sglang() -> tuple[tuple[str, ...], str]:
    """How to start SGLang's tool, and its tokenizer: from this environment, or the CPU's."""
    module = ("-m", "sglang.bench_serving")
    found = importlib.util.find_spec("sglang")
    if found is not None and found.origin is not None:  # no origin: a folder of that name
        return (sys.executable, *module), ""
    if cpu.installed():
        return (str(cpu.PYTHON), *module), str(cpu.tiny_checkpoint())
    return (), ""
