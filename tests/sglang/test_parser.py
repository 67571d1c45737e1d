"""Launch plans, read by SGLang's own argument parsers: the newest's for the whole matrix.

An older parser runs where $SGLANG_WHEELS is a folder of released wheels
(`pip download --no-deps sglang==0.5.9`).
"""

from __future__ import annotations

import functools
import json
import os
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import parse
import pytest

from kit.errors import KitError
from kit.hardware import SGLANG, Profile, gpus, profile, profiles
from kit.launch import LaunchPlan, launch_plan
from kit.launch.flags import Spelling, spellings
from kit.models import family
from kit.models.precision import precisions

STANDINS = Path(__file__).parents[2] / "deploy" / "sglang-cpu" / "standins"
COUNTS = (1, 2, 4, 8, 16)
OPTIONS = {
    "served_model_name": "qwen",
    "metrics": True,
    "load_threads": 64,
    "watchdog_timeout_s": 1200,
    "host": "0.0.0.0",
    "api_key": True,
    "media_per_request": (("image", 4), ("video", 1)),
    "trust_remote_code": True,
}


@functools.cache
def newest() -> Any:
    return parse.parser()


def plans(sglang: str = SGLANG) -> Iterator[LaunchPlan]:
    """Every plan of the matrix that is not refused: model × precision × GPU × count × MTP."""
    for model in family():
        for precision in precisions().values():
            if model.name not in precision.sizes:
                continue
            for gpu in gpus():
                for count in (3, 6) if gpu.is_cpu else COUNTS:
                    for mtp in (True, False):
                        try:
                            made = Profile.of(model.name, precision.key, gpu.key, count)
                            made = made if mtp else replace(made, mtp=None)
                            yield launch_plan(made, sglang)
                        except KitError:
                            continue


def assert_read(plan: LaunchPlan, seen: dict[str, Any], rank: int = 0) -> None:
    """The parser took every flag under its full name, with the plan's value, and calls none old."""
    assert "error" not in seen, (plan.profile.name, seen)
    assert seen["deprecated"] == [], plan.profile.name
    for flag in plan.node_flags(rank):
        read, said = seen["values"][flag.name], flag.value
        if said is None:
            assert read is True, flag
        elif said.startswith("{"):
            assert (json.loads(read) if isinstance(read, str) else read) == json.loads(said), flag
        elif isinstance(read, (int, float)) and not isinstance(read, bool):
            assert read == float(said), flag
        else:
            assert str(read) == said, flag


def flags_only(plan: LaunchPlan, rank: int = 0) -> list[str]:
    return plan.argv(rank)[len(plan.launcher) :]


def test_every_plan_of_the_matrix_is_read_as_it_was_meant(record_property: Any) -> None:
    count = 0
    for plan in plans():
        for rank in range(plan.nodes):
            assert_read(plan, parse.parsed(newest(), flags_only(plan, rank)), rank)
            count += 1
    record_property("plans", count)
    print(f"\n{count} commands parsed by SGLang {SGLANG}")
    assert count > 300


@pytest.mark.parametrize("name", [p.name for p in profiles()])
def test_named_profiles_with_every_option_are_read_as_meant(name: str) -> None:
    try:
        plan = launch_plan(profile(name), **OPTIONS)
    except KitError as refused:
        pytest.skip(refused.what)
    assert_read(plan, parse.parsed(newest(), flags_only(plan)))


def test_a_million_tokens_and_cuda_ipc_are_read_as_meant() -> None:
    long = replace(profile("b200x8"), context_length=1_010_000, mm_feature_transport="cuda_ipc")
    plan = launch_plan(long)
    assert_read(plan, parse.parsed(newest(), flags_only(plan)))
    assert plan.env == {"SGLANG_ALLOW_OVERWRITE_LONGER_CONTEXT_LEN": "1"}


def test_the_parser_would_notice_a_flag_that_is_gone() -> None:
    """The proof that this file can fail: the cookbook's newest page, on 0.5.23."""
    old = ["--model-path", "m", "--mamba-scheduler-strategy", "extra_buffer"]
    assert "unrecognized arguments" in parse.parsed(newest(), old)["error"]
    assert parse.parsed(newest(), ["--model-path", "m", "--tp", "8"])["error"]
    fused = ["--model-path", "m", "--enable-flashinfer-allreduce-fusion"]
    assert parse.parsed(newest(), fused)["deprecated"]


@pytest.mark.parametrize("flag", [s for s in spellings().values() if s.page], ids=lambda s: s.key)
def test_a_pages_own_spelling_is_an_alias_or_an_abbreviation(flag: Spelling) -> None:
    """`--model` is declared beside `--model-path`; `--tp` is only understood."""
    declared = newest()._option_string_actions
    assert (flag.page in declared) is flag.alias
    if flag.alias:
        assert declared[flag.page] is declared[flag.named(SGLANG)]


def wheels() -> list[Path]:
    folder = os.environ.get("SGLANG_WHEELS")
    return sorted(Path(folder).glob("sglang-*.whl")) if folder else []


def version_of(wheel: Path) -> str:
    return wheel.name.split("-")[1]


@pytest.fixture(params=wheels() or [None], ids=lambda w: version_of(w) if w else "no wheels")
def older(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """(version, a function from argument lists to what that version's parser made of them)."""
    wheel: Path | None = request.param
    if wheel is None:
        pytest.skip("two minutes: SGLANG_WHEELS=build/sglang-wheels runs it")
    folder = tmp_path_factory.mktemp(version_of(wheel))
    with zipfile.ZipFile(wheel) as packed:
        needed = [n for n in packed.namelist() if "/multimodal_gen/" not in n and "/test/" not in n]
        packed.extractall(folder, needed)

    def run(argvs: list[list[str]]) -> list[dict[str, Any]]:
        done = subprocess.run(
            [sys.executable, parse.__file__],
            input="".join(json.dumps(argv) + "\n" for argv in argvs),
            env={**os.environ, "PYTHONPATH": f"{folder}:{STANDINS}"},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr[-2000:]
        return [
            json.loads(line.removeprefix(parse.MARK))
            for line in done.stdout.splitlines()
            if line.startswith(parse.MARK)
        ]

    return version_of(wheel), run


def test_plans_for_an_older_sglang_are_read_by_its_own_parser(older: Any) -> None:
    version, run = older
    made = list(plans(version))
    for plan, seen in zip(made, run([flags_only(p) for p in made]), strict=True):
        assert_read(plan, seen)
    print(f"\n{len(made)} commands parsed by SGLang {version}")


def test_the_pages_command_and_the_plan_for_its_version_mean_the_same(older: Any) -> None:
    from kit.launch import source_commands

    version, run = older
    pages = [page for page in source_commands() if page.sglang == version]
    if not pages:
        pytest.skip(f"no source page is of {version}")
    for page in pages:
        plan = launch_plan(page.profile, version, **page.options)
        theirs, ours = run([page.arguments_in_full(), flags_only(plan)])
        aside = ("--api-key", *page.without_effect)
        meant, made = (
            {flag: value for flag, value in one["values"].items() if flag not in aside}
            for one in (theirs, ours)
        )
        assert made == meant
