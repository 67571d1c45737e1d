"""Lessons 00 and 07 measure the same on a computer whose cores are all busy."""

from __future__ import annotations

import importlib.util
import os
import sys
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import pytest

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "busy_laptop.py"
WITHIN = 0.05


@pytest.fixture(scope="module")
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("busy_laptop", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.mark.trust_long
@pytest.mark.parametrize("number", range(3))
def test_a_benchmark_on_busy_cores_gives_the_rows_of_an_idle_computer(
    script: ModuleType, number: int
) -> None:
    case = script.cases()[number]
    if case.speed < 10:
        case = replace(case, speed=10.0)  # it need not take so long here
    found = script.compared(case, os.cpu_count() or 2)
    assert found["busy_apart"] < WITHIN
    assert found["simulated_apart"] < WITHIN
    assert found["late_ms"]["busy"]


@pytest.mark.trust_long
def test_an_answer_on_busy_cores_has_the_times_of_an_idle_computer(script: ModuleType) -> None:
    idle = script.streamed()
    with script.busy(os.cpu_count() or 2):
        busy = script.streamed()
    assert all(idle.values())
    for name, figure in idle.items():
        assert busy[name] == pytest.approx(figure, rel=WITHIN), name
