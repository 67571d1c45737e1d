"""The released SGLang on this machine's CPU, with the pocket model behind it: `cpu-pocket`.

It is a Qwen3.5 of a few million parameters, trained for this course, MTP layer included: it thinks,
answers, calls tools and speculates. Tests serve a toy instead, whose one answer is fixed (`tiny`).

Its HTTP, parsers, scheduler, log, metrics and errors are SGLang's. Plain PyTorch stands in for
its compiled kernels (deploy/sglang-cpu), so its speed says nothing about Qwen3.5, and speculation
costs time instead of saving it.
"""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Literal

from kit.errors import InvalidValue, KitError, LaunchError
from kit.launch import HTTP_PORT
from kit.pocket import SERVED_NAME, WEIGHTS, insist_on_released
from kit.server.command import ServerCommand

SGLANG_PINNED = "0.5.23"
ROOT = Path(__file__).resolve().parents[2]
HOME = ROOT / "deploy" / "sglang-cpu"
PYTHON = HOME / "python"

POCKET, TINY = "cpu-pocket", "cpu-tiny"
MODELS = {  # what `kit serve` takes beside the profiles, which are of machines with GPUs
    POCKET: "a small Qwen3.5 that answers, on the real SGLang and this CPU (make sglang-cpu)",
}
POCKET_STEPS = 3  # drafts, as in SGLang's usual options for Qwen3.5
POCKET_CONTEXT_LENGTH = 4096

TinyKind = Literal["dense", "moe"]
Options = dict[str, str | None]  # a flag and its value; None for a flag that takes none

_OPTIONS: Options = {
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
    "--sleep-on-idle": None,  # else an idle one takes half of a core
}
_POCKET_OPTIONS: Options = {
    "--attention-backend": "intel_amx",  # the only one on a CPU that SGLang speculates with
    "--dtype": "float32",  # the weights are bfloat16; sums in float32 equal transformers' exactly
    "--context-length": str(POCKET_CONTEXT_LENGTH),
    "--max-total-tokens": str(8 * POCKET_CONTEXT_LENGTH),
    "--served-model-name": SERVED_NAME,
}
_TINY_OPTIONS: Options = {
    "--context-length": "1024",
    "--max-total-tokens": "8192",
    "--served-model-name": TINY,
}


def installed() -> bool:
    """Whether `make sglang-cpu` has been run here."""
    return (ROOT / ".venv-sglang" / ".ready").is_file() and HOME.is_dir()


def pocket(
    port: int = HTTP_PORT,
    steps: int = POCKET_STEPS,
    options: Options | None = None,
    weights: Path = WEIGHTS,
) -> ServerCommand:
    """The pocket model's server, with `steps` drafts before each verification; 0: without MTP.

    `options` go before the usual ones. Raises LaunchError where SGLang for CPUs is not installed
    or the weights are not the released ones, InvalidValue for steps that the MTP layer was not
    trained for.
    """
    if not 0 <= steps <= POCKET_STEPS:
        raise InvalidValue(
            f"{steps} drafts", f"0 to {POCKET_STEPS}: its MTP layer was trained for that"
        )
    _insist_on_sglang()
    try:
        insist_on_released(weights)
    except KitError as problem:
        raise LaunchError(problem.what, problem.hint) from problem
    about = json.loads((weights / "pocket.json").read_text(encoding="utf-8"))
    return _command(
        POCKET,
        port,
        {**_POCKET_OPTIONS, **_speculation(steps), **(options or {})},
        checkpoint=weights,
        weights_gb=(weights / "model.safetensors").stat().st_size / 1e9,
        source=f"{about['name']} on a CPU: neither its speed nor its text is Qwen3.5's",
    )


def tiny(
    port: int = HTTP_PORT,
    kind: TinyKind = "dense",
    options: Options | None = None,
    without: tuple[str, ...] = (),
    checkpoint: Path | None = None,
) -> ServerCommand:
    """The server of the tests' toy. `options` go before the usual ones, `without` are left out.

    `checkpoint` is another one than the toy's, which is made where there is none yet (6 s, 3 MB).
    Raises LaunchError where SGLang for CPUs is not installed.
    """
    _insist_on_sglang()
    return _command(
        TINY,
        port,
        {**_TINY_OPTIONS, **(options or {})},
        without=without,
        checkpoint=checkpoint or tiny_checkpoint(kind),
        weights_gb=0.003,
        source="a toy on a CPU: its speed and its text say nothing about Qwen3.5",
    )


def tiny_checkpoint(kind: TinyKind = "dense") -> Path:
    """The folder of the toy, made anew when the code that makes it has changed."""
    folder, maker = ROOT / "build" / TINY / kind, HOME / "make_toy.py"
    made = folder / "model.safetensors"
    if not made.is_file() or made.stat().st_mtime < maker.stat().st_mtime:
        done = subprocess.run(
            [str(PYTHON), str(maker), kind, str(folder)],
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            last = (done.stderr.strip().splitlines() or ["no message"])[-1]
            raise LaunchError(
                f"the toy could not be made: {last}", "rm -r .venv-sglang and make sglang-cpu"
            )
    return folder


def _insist_on_sglang() -> None:
    if not installed():
        raise LaunchError(
            "SGLang for CPUs is not installed here",
            "make sglang-cpu (Linux x86-64, a minute, 1.7 GB); the twin needs none of it: kit twin",
        )


def _speculation(steps: int) -> Options:
    """A chain of `steps` drafts; nothing for none."""
    if steps == 0:
        return {}
    return {
        "--speculative-algorithm": "NEXTN",
        "--speculative-num-steps": str(steps),
        "--speculative-eagle-topk": "1",
        "--speculative-num-draft-tokens": str(steps + 1),
    }


def _command(
    title: str,
    port: int,
    options: Options,
    *,
    checkpoint: Path,
    weights_gb: float,
    source: str,
    without: tuple[str, ...] = (),
) -> ServerCommand:
    """A server on this CPU, which ends with whoever starts it."""
    options = {**_OPTIONS, "--model-path": str(checkpoint), **options}
    flags = [
        word
        for flag, value in options.items()
        if flag not in without
        for word in (flag, value)
        if word is not None
    ]
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
        checkpoint=str(options["--model-path"]),
        weights_gb=weights_gb,
        outlives=False,
        source=source,
    )
