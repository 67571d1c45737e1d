"""Other people's benchmark: our workload in their words, their file as our report."""

import asyncio
import os
import shlex
import sys
from dataclasses import dataclass

import pytest

import kit
from kit.bench import Workload, external_tools
from kit.bench.external_tools import (
    ExternalTool,
    installed,
    sglang_arguments,
    tools,
    vllm_arguments,
)
from kit.errors import InvalidValue, KitError
from kit.provenance import Provenance, measured

NOWHERE = measured("a server that is not asked")
FEW = Workload(64, 16, 3, max_concurrency=2, seed=1)


@dataclass(frozen=True)
class Somewhere:
    base_url: str = "http://127.0.0.1:1"
    model: str = "qwen"
    speed: float = 1.0
    provenance: Provenance = NOWHERE


def tool(script: str) -> ExternalTool:
    """A real process that does what `script` says, in the place of a benchmark."""
    argv = (sys.executable, "-c", script)
    return ExternalTool("theirs", argv, "theirs", lambda *_: [], ("{folder}/{name}",))


def options(arguments):
    return dict(zip(arguments[::2], arguments[1::2], strict=False))


def test_sglang_is_asked_for_the_same_lengths_and_seed():
    arguments = sglang_arguments(Somewhere(), Workload(1000, 500, 10, 4, range_ratio=1, seed=7))
    assert "--tokenize-prompt" in arguments
    arguments.remove("--tokenize-prompt")
    said = options(arguments)
    assert (said["--random-input-len"], said["--random-output-len"]) == ("1000", "500")
    assert (said["--num-prompts"], said["--max-concurrency"]) == ("10", "4")
    assert (said["--seed"], said["--random-range-ratio"], said["--request-rate"]) == (
        "7", "1", "inf",
    )  # fmt: skip


def test_without_a_limit_none_is_given():
    assert "--max-concurrency" not in sglang_arguments(Somewhere(), Workload(10, 10, 2))


def test_vllm_draws_other_lengths_so_only_exact_ones_compare():
    with pytest.raises(InvalidValue, match="another rule"):
        vllm_arguments(Somewhere(), FEW)
    assert "--ignore-eos" in vllm_arguments(Somewhere(), Workload(10, 10, 2, range_ratio=1))


def test_images_are_left_to_a_shell():
    with pytest.raises(InvalidValue, match="images"):
        sglang_arguments(Somewhere(), Workload(128, 16, 2, dataset="image"))


def test_a_command_is_what_a_shell_takes():
    sglang, _ = tools()
    words = shlex.split(sglang.command(Somewhere(model="a name"), FEW))
    assert words[:3] == ["python", "-m", "sglang.bench_serving"]
    assert "a name" in words


def test_a_tool_that_is_not_here_says_how_to_get_it():
    absent = ExternalTool("vllm", (), "vllm bench serve", vllm_arguments, ())
    with pytest.raises(KitError, match="pip install vllm"):
        asyncio.run(absent.run(Somewhere(), FEW))


def test_a_clock_that_they_cannot_know_is_refused():
    with pytest.raises(InvalidValue, match="speed=1"):
        asyncio.run(tool("").run(Somewhere(speed=10), FEW))


@pytest.mark.parametrize("script", ["print('no GPU'); raise SystemExit(3)", "print('no GPU')"])
def test_what_fails_or_writes_nothing_gives_its_last_line(script):
    with pytest.raises(KitError, match="no GPU"):
        asyncio.run(tool(script).run(Somewhere(), FEW))


def test_it_ends_with_the_task_that_waits_for_it(tmp_path):
    alive = tmp_path / "pid"
    script = f"import os, time; open({str(alive)!r}, 'w').write(str(os.getpid())); time.sleep(60)"

    async def stopped():
        task = asyncio.create_task(tool(script).run(Somewhere(), FEW))
        while not (alive.exists() and alive.read_text()):
            await asyncio.sleep(0.02)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    asyncio.run(stopped())
    with pytest.raises(ProcessLookupError):
        os.kill(int(alive.read_text()), 0)


@pytest.mark.trust_long
@pytest.mark.skipif(not installed(), reason="neither sglang nor vllm is here: make sglang-cpu")
def test_sglangs_own_tool_sends_the_twin_what_ours_sends():
    twin = kit.connect("twin", profile="h200x8", quiet=True)
    try:
        their = asyncio.run(external_tools.installed()[0].run(twin, FEW))
        ours = asyncio.run(kit.bench.measure(twin, FEW))
    finally:
        twin.close()
    for key in ("completed", "total_input_tokens", "total_output_tokens"):
        assert their[key] == ours[key]
    assert str(their.provenance).startswith("simulated")
