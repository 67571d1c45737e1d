"""What is asked of a plan: so many users, each with so much context; and what others report."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from kit.cli.main import main
from kit.errors import InvalidValue, KitError
from kit.hardware import Mtp, Profile, profile
from kit.launch import launch_plan
from kit.sizing import FITS_TOKENS, explain, plan


def on(gpu: str, count: int = 1, precision: str = "fp8", **options: Any) -> Profile:
    return Profile.of("27b", precision, gpu, count, **options)


# --- by default, one request of 131,072 tokens


def test_by_default_one_request_of_128k_is_asked() -> None:
    made = plan(profile("h200x8"))
    assert (made.asked_users, made.asked_tokens) == (1, FITS_TOKENS)
    assert made.fits


def test_where_only_the_default_fails_it_starts_and_says_why_128k() -> None:
    made = plan(on("l40s", mtp=None))
    assert (made.starts, made.fits, made.verdict) == (True, False, "short")
    assert any("thinking needs room" in reason for reason in explain(made).reasons)
    said = explain(made).to_json()
    assert (said["fits"], said["starts"]) == (False, True)


def test_context_and_users_are_what_must_fit() -> None:
    made = plan(on("l40s", mtp=None, context_length=32_768))
    assert made.fits
    assert made.verdict == "tight"
    assert any("131,072" in reason for reason in explain(made).reasons)  # a word, no refusal
    more = plan(on("l40s", mtp=None, context_length=32_768, users=20))
    assert not more.fits
    assert any("of the 20 requests asked for" in reason for reason in explain(more).reasons)
    assert plan(on("h200", context_length=32_768, users=8)).fits
    with pytest.raises(InvalidValue, match="users"):
        on("l40s", users=0)


# --- 0.8 or MTP does not fit, 0.9 without MTP does


@pytest.mark.parametrize(
    "p",
    [on("l40s", users=4, context_length=16_384), on("rtx4090", 2, users=4, context_length=16_384)],
    ids=["one 48 GB GPU", "two RTX 4090"],
)
def test_where_a_higher_fraction_without_mtp_would_do_it_says_so_and_gives_the_command(
    p: Profile,
) -> None:
    assert not plan(p).fits
    own = [r for r in explain(plan(p)).remedies if r.here]
    assert own
    assert plan(own[0].profile).fits
    assert own[0].command.startswith("kit command --model 27b --precision fp8 --gpu ")
    assert main(own[0].command.split()[1:]) == 0


def test_a_remedy_on_the_same_gpus_leaves_room_for_graphs() -> None:
    for gpu, count in (("l40s", 1), ("rtx4090", 2), ("rtx5090", 1)):
        for remedy in explain(plan(on(gpu, count))).remedies:
            if remedy.here and remedy.profile.mem_fraction_static:
                spare = remedy.profile.gpu.memory_gib * (1 - remedy.profile.mem_fraction_static)
                assert spare >= 1.9


# --- kit command


def test_a_command_is_written_for_what_starts_with_a_warning() -> None:
    made = launch_plan(on("l40s", mtp=None))
    assert any("131,072" in warning for warning in made.warnings)
    assert "--mem-fraction-static" in [flag.name for flag in made.flags]


def test_a_command_is_refused_only_where_nothing_starts_and_names_what_would() -> None:
    small = on("rtx5090", precision="bf16")
    with pytest.raises(KitError) as caught:
        launch_plan(small)
    assert "does not fit" in str(caught.value)
    tight = on("l40s")
    with pytest.raises(KitError, match=r"kit command --model 27b .*--mem-fraction-static"):
        launch_plan(tight)


# --- what people brought


@pytest.mark.parametrize(
    "words",
    ["--gpu l40s --count 1 --context 32768", "--gpu rtx4090 --count 2 --context 32768",
     "--gpu rtx3090 --count 2 --context 32768", "--gpu rtx6000ada --count 1 --context 32768"],
)  # fmt: skip
def test_27b_in_fp8_on_48_gb_is_sized_and_started_as_its_owners_do(
    words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """sgl-project/sglang#38846: one 48 GB Ada card; noonghunna/club-3090#1264: two of 24 GB."""
    for command in ("size", "command"):
        given = [command, "--model", "27b", "--precision", "fp8", *words.split()]
        assert main(given) == 0
    printed = capsys.readouterr().out
    assert "It fits, tightly" in printed
    assert "--context-length 32768" in printed
    assert "chosen here: --mem-fraction-static 0." in printed


def test_the_command_line_chooses_fraction_and_mtp_only_where_the_reader_did_not(
    capsys: pytest.CaptureFixture[str],
) -> None:
    words = "size --model 27b --precision fp8 --gpu l40s --count 1"
    assert main(words.split()) == 0
    assert "chosen here" in capsys.readouterr().out
    assert main([*words.split(), "--mem-fraction-static", "0.8"]) == 0
    printed = capsys.readouterr().out
    assert "chosen here" not in printed
    assert "It does not fit" in printed
    assert "kit command --model 27b --precision fp8 --gpu l40s --count 1" in printed
    assert main(["size", "h200x8"]) == 0
    assert "chosen here" not in capsys.readouterr().out


@pytest.mark.parametrize(("fraction", "tokens"), [(0.86, 92_507), (0.92, 157_875)])
def test_two_rtx_3090_have_the_kv_cache_that_their_owner_measured(
    fraction: float, tokens: int
) -> None:
    """noonghunna/club-3090, models/qwen3.8-27b/sglang/compose/dual/fp8/mtp.yml: SGLang 0.5.19,
    Qwen/Qwen3.8-27B-FP8 with MTP of 4 steps. What MTP loads twice decides it: 2.4 GiB per rank."""
    own = on("rtx3090", 2, mtp=Mtp(4, 1, 5), mem_fraction_static=fraction, kv_dtype="fp8",
             ssm_dtype="bfloat16", max_running_requests=1, context_length=131_072,
             chunked_prefill_size=2048)  # fmt: skip
    made = plan(own, "0.5.19")
    assert made.kv_tokens == pytest.approx(tokens, rel=0.07)
    assert made.loaded_twice_gib == pytest.approx(2.67 - 0.3, abs=0.05)  # of the 2.67 GiB loaded
    counted_once = replace(own, gpu=replace(own.gpu, key="custom", memory_gib=24 + 2.37 / fraction))
    assert plan(counted_once, "0.5.19").kv_tokens > 1.5 * tokens


def test_one_48_gb_card_runs_as_many_requests_as_its_owner_reports() -> None:
    """sgl-project/sglang#38846: nine requests at once."""
    own = on("rtx6000ada", mtp=None, mem_fraction_static=0.92, context_length=8_192)
    assert plan(own).max_running_requests in range(8, 12)


@pytest.mark.parametrize(
    "words",
    ["--model 397b --precision fp8 --gpu h20 --count 8",
     "--model 27b --precision fp8 --gpu rtx3090",
     "--model 35b --precision fp8 --gpu gb10 --count 1", "--model 122b --precision fp8 --gpu a800",
     "--model 27b --precision fp8 --gpu-memory-gib 96 --bandwidth-gb-s 4000 --count 1",
     "--model 27b --precision fp8 --like h200 --gpu-memory-gib 100 --count 1"],
)  # fmt: skip
def test_gpus_that_people_own_are_sized(words: str, capsys: pytest.CaptureFixture[str]) -> None:
    given = words.split() if "--count" in words else [*words.split(), "--count", "4"]
    for command in ("size", "command"):
        assert main([command, *given]) == 0
    assert "It fits" in capsys.readouterr().out


def test_a_fraction_is_an_option(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["command", "h200x8", "--mem-fraction-static", "0.85"]) == 0
    assert "--mem-fraction-static 0.85" in capsys.readouterr().out


def test_predict_takes_a_described_machine(capsys: pytest.CaptureFixture[str]) -> None:
    words = "predict --model 9b --gpu-memory-gib 96 --bandwidth-gb-s 4000 --count 1 --num-prompts 2"
    assert main([*words.split(), "--input-len", "64", "--output-len", "8"]) == 0
    assert "TTFT" in capsys.readouterr().out
