"""What `kit doctor` says of GPUs: each tool's answer, and tools that are broken or hang."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from kit.cli import main
from kit.course.doctor import Machine, gpus, machine

H100 = "NVIDIA H100 80GB HBM3, 81559, 580.95.05, 9.0"


def smi(text: str, code: int = 0, tool: str = gpus.NVIDIA) -> Machine:
    """A machine whose tool prints this, whatever it is asked."""
    return Machine(
        which=lambda name: f"/usr/bin/{name}" if name == tool else None,
        run=lambda argv, within_s: machine.Output(code, text, ""),
    )


def test_a_gpu_is_named_with_what_it_serves_and_each_command_runs() -> None:
    found = gpus.gpus(smi(f"{H100}\n"))
    assert found.status == "ok"
    assert "driver 580.95.05, compute capability 9.0: serves 35b (fp8, gptq-int4)" in found.found
    assert "nvfp4" not in found.found  # its kernels want compute capability 10.0
    commands = found.remedy.splitlines()
    assert commands[0] == "kit command --model 35b --precision fp8 --gpu h100 --count 1"
    assert main(commands[0].split()[1:]) == 0


def test_of_seven_gpus_a_server_takes_four() -> None:
    assert gpus.gpus(smi(f"{H100}\n" * 7)).remedy.splitlines()[0].endswith("--count 4")


def test_a_gpu_with_other_memory_or_of_no_known_kind_is_described() -> None:
    half = gpus.gpus(smi("NVIDIA H100 80GB HBM3, 40192, 580.95.05, 9.0"))
    assert "--gpu h100 --gpu-memory-gib 39.25" in half.remedy
    unknown = gpus.gpus(smi("NVIDIA Q9000, 24576, 580.95.05, 12.0"))
    line = next(iter(unknown.remedy.splitlines()))
    assert "--gpu-memory-gib 24.00" in line
    assert main(line.split()[1:]) == 0


def test_amds_tool_is_read_too() -> None:
    said = {
        "card0": {"Card Series": "AMD Instinct MI300X", "VRAM Total Memory (B)": "206141652992"},
        "system": {"Driver version": "6.12.12"},
    }
    found = gpus.gpus(smi(json.dumps(said), tool=gpus.AMD))
    assert "1× AMD Instinct MI300X of 192 GiB, driver 6.12.12" in found.found
    assert "--gpu mi300x" in found.remedy


@pytest.mark.parametrize(
    ("text", "code", "status"),
    [
        (
            "NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver.",
            9,
            "warn",
        ),
        ("Segmentation fault", 0, "unknown"),
        ("", 0, "unknown"),
        ("a, b, c, d", 0, "unknown"),
        ("NVIDIA H100, nan, 580, 9.0", 0, "unknown"),
        ("NVIDIA Q9000, [N/A], 580, 9.0", 0, "unknown"),
    ],
)
def test_a_broken_nvidia_smi_is_said_to_be_broken(text: str, code: int, status: str) -> None:
    found = gpus.gpus(smi(text, code))
    assert found.status == status
    assert found.remedy


@pytest.mark.skipif(sys.platform == "win32", reason="a script with #! and os.fork")
def test_an_nvidia_smi_that_hangs_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A real program, whose child keeps its output open; both are ended."""
    hanging = tmp_path / "nvidia-smi"
    hanging.write_text(f"#!{sys.executable}\nimport os, time\nos.fork()\ntime.sleep(60)\n")
    hanging.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setattr(gpus, "WITHIN_S", 0.5)
    began = time.monotonic()
    found = gpus.gpus(Machine())
    assert time.monotonic() - began < 3
    assert (found.status, "no answer within 0.5 s" in found.found) == ("unknown", True)
    assert "nvidia-smi must work by itself first" in found.remedy
    left = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True).stdout
    assert str(hanging) not in left
