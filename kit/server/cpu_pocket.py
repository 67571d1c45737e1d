"""`cpu-pocket`: the released SGLang on this machine's CPU, with the pocket model behind it.

A Qwen3.5 of a few million parameters, trained for this course, MTP layer included: it thinks,
answers, calls tools and speculates. Its speed is plain PyTorch's on a CPU, where speculation costs
time instead of saving it; its text is a very small model's.
"""

from __future__ import annotations

import json
from pathlib import Path

from kit.errors import InvalidValue, KitError, LaunchError
from kit.launch import HTTP_PORT
from kit.pocket import SERVED_NAME, WEIGHTS, insist_on_released
from kit.server import on_cpu
from kit.server.command import ServerCommand
from kit.server.on_cpu import Options

NAME = "cpu-pocket"
STEPS = 3  # drafts, as SGLang's usual options for Qwen3.5 have it
CONTEXT_LENGTH = 4096

OPTIONS: Options = {
    "--attention-backend": "intel_amx",  # the only one on a CPU that SGLang speculates with
    "--dtype": "float32",  # the weights are bfloat16; sums in float32 are transformers', exactly
    "--context-length": str(CONTEXT_LENGTH),
    "--max-total-tokens": str(8 * CONTEXT_LENGTH),
    "--served-model-name": SERVED_NAME,
}


def command(
    port: int = HTTP_PORT,
    steps: int = STEPS,
    options: Options | None = None,
    weights: Path = WEIGHTS,
) -> ServerCommand:
    """The pocket model's server, with `steps` drafts before each verification; 0: without MTP.

    `options` differ from the usual ones. Raises LaunchError where SGLang for CPUs is not installed
    or the weights are not the released ones, InvalidValue for steps that the layer was not
    trained for.
    """
    if not 0 <= steps <= STEPS:
        raise InvalidValue(f"{steps} drafts", f"0 to {STEPS}: its MTP layer was trained for that")
    on_cpu.insist_on_sglang()
    try:
        insist_on_released(weights)
    except KitError as problem:
        raise LaunchError(problem.what, problem.hint) from problem
    about = json.loads((weights / "pocket.json").read_text(encoding="utf-8"))
    return on_cpu.command(
        NAME,
        port,
        {**OPTIONS, **speculation(steps), "--model-path": str(weights), **(options or {})},
        weights_gb=(weights / "model.safetensors").stat().st_size / 1e9,
        source=f"{about['name']} on a CPU: neither its speed nor its text is Qwen3.5's",
    )


def speculation(steps: int) -> Options:
    """A chain of `steps` drafts; nothing for none."""
    if steps == 0:
        return {}
    return {
        "--speculative-algorithm": "NEXTN",
        "--speculative-num-steps": str(steps),
        "--speculative-eagle-topk": "1",
        "--speculative-num-draft-tokens": str(steps + 1),
    }
