"""The released SGLang on this machine's CPU: what its two models, toy and pocket, have in common.

Its HTTP, parsers, scheduler, log, metrics and errors are SGLang's; its compiled kernels are stood
in for by plain PyTorch (deploy/sglang-cpu), so its speed says nothing about Qwen3.5.
"""

from __future__ import annotations

from pathlib import Path

from kit.errors import InvalidValue, LaunchError
from kit.server.command import ServerCommand

SGLANG_PINNED = "0.5.23"
ROOT = Path(__file__).resolve().parents[2]
HOME = ROOT / "deploy" / "sglang-cpu"
PYTHON = HOME / "python"

# What `kit serve` takes beside the profiles, which are of machines with GPUs.
ON_CPU = {
    "cpu-pocket": "a small Qwen3.5 that answers, on the real SGLang and this CPU (make sglang-cpu)",
    "cpu-tiny": "a toy with one answer, on the real SGLang and this CPU (make sglang-cpu)",
}

Options = dict[str, str | None]  # a flag and its value; None for a flag that takes none

OPTIONS: Options = {
    "--device": "cpu",
    "--attention-backend": "torch_native",
    "--sampling-backend": "pytorch",
    "--disable-overlap-schedule": None,
    "--mem-fraction-static": "0.5",
    "--max-running-requests": "8",
    "--max-mamba-cache-size": "64",  # left to itself SGLang takes half of the machine's memory
    "--reasoning-parser": "qwen3",
    "--tool-call-parser": "qwen3_coder",
    "--enable-metrics": None,
}


def installed() -> bool:
    """Whether `make sglang-cpu` has been run here."""
    return (ROOT / ".venv-sglang" / ".ready").is_file() and HOME.is_dir()


def insist_on_sglang() -> None:
    """Raises LaunchError where SGLang for CPUs is not installed."""
    if not installed():
        raise LaunchError(
            "SGLang for CPUs is not installed here",
            "make sglang-cpu (Linux x86-64, a minute, 1.7 GB); the twin needs none of it: kit twin",
        )


def insist_on_usual(name: str, sglang: str | None, docker: bool) -> None:
    """Raises InvalidValue for another SGLang than the pinned one, and for a container."""
    if sglang not in (None, SGLANG_PINNED):
        raise InvalidValue(f"SGLang {sglang}", f"{SGLANG_PINNED}: {name} runs no other")
    if docker:
        raise InvalidValue("--docker", f"none: {name} runs in its own environment, as it is")


def command(
    title: str,
    port: int,
    options: Options,
    *,
    without: tuple[str, ...] = (),
    weights_gb: float,
    source: str,
) -> ServerCommand:
    """A server on this CPU: `options` over OPTIONS, less those in `without`. It ends with whoever
    starts it.
    """
    given = {flag: v for flag, v in {**OPTIONS, **options}.items() if flag not in without}
    flags = [word for flag, value in given.items() for word in (flag, value) if word is not None]
    return ServerCommand(
        title=title,
        argv=(
            *(str(PYTHON), "-m", "sglang.launch_server"),
            *flags,
            *("--host", "127.0.0.1", "--port", str(port)),
        ),
        host="127.0.0.1",
        port=port,
        sglang=SGLANG_PINNED,
        checkpoint=str(given["--model-path"]),
        weights_gb=weights_gb,
        outlives=False,
        source=source,
    )
