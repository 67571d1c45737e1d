"""GPUs, the cookbook's matrix as profiles, and what no server would take."""

from __future__ import annotations

import tomllib
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from kit.errors import InvalidValue, KitError, UnknownName
from kit.hardware import (
    Gpu,
    Mtp,
    Profile,
    cookbook,
    described,
    gpu,
    gpus,
    profile,
    profiles,
)
from kit.hardware.cookbook import cells
from kit.models import model

DATA = Path(__file__).parents[1] / "kit" / "data"
ASKED_FOR = (
    "h100 h200 b200 b300 gb200 a100 l40s l4 t4 rtx4090 rtx5090 rtxpro6000 mi300x mi325x mi355x xeon"
    " h20 h203e h800 h100pcie h100nvl gh200 gb300 gb10 a10040gb a800 a10 a10g a40 rtxa6000 v100 l40"
    " l20 rtx4080 rtx3090 rtx6000ada rtx5080 rtx5070ti mi308x mi210 mi250x mi350x"
)
TYPED = {  # what people type or nvidia-smi prints → the row
    "RTX 3090": "rtx3090", "3090 24g": "rtx3090", "4090": "rtx4090",
    "h20-141g": "h203e", "NVIDIA H20-3e": "h203e", "H20 96GB": "h20", "NVIDIA H20": "h20",
    "A100 40GB": "a10040gb", "NVIDIA A100-SXM4-40GB": "a10040gb", "NVIDIA A100-SXM4-80GB": "a100",
    "NVIDIA A100 80GB PCIe": "a100", "A800-SXM4-80GB": "a800",
    "nvidia-h100-80gb-hbm3": "h100", "NVIDIA H100 80GB HBM3": "h100",
    "NVIDIA H100 PCIe": "h100pcie", "NVIDIA H100 NVL": "h100nvl", "NVIDIA GH200 480GB": "gh200",
    "H200 141GB": "h200",
    "DGX Spark": "gb10", "NVIDIA GB10": "gb10", "B300 288GB": "b300", "L4 24GB": "l4",
    "NVIDIA GeForce RTX 5090": "rtx5090", "rtx 4080 super": "rtx4080", "a6000": "rtxa6000",
    "NVIDIA RTX 6000 Ada Generation": "rtx6000ada", "Tesla V100-SXM2-32GB": "v100",
    "NVIDIA RTX PRO 6000 Blackwell Max-Q Workstation Edition": "rtxpro6000",
    "AMD Instinct MI300X": "mi300x", "MI250": "mi250x",
}  # fmt: skip
SMI_MIB = {  # memory.total as nvidia-smi or rocm-smi prints it, in public logs
    "h20": 97871, "h203e": 143771, "gb300": 284208, "gh200": 97871, "rtx3090": 24576,
    "rtx5080": 16303, "a10": 23028, "a10040gb": 40960, "rtx6000ada": 49140, "h200": 143771,
}  # fmt: skip
BOX_GB = {  # what is printed on the box, in GB or GiB as the vendor counts
    "h100": 80, "h200": 141, "b200": 192, "b300": 288, "a100": 80, "l4": 24, "rtx4090": 24,
    "rtx5090": 32, "mi300x": 192, "mi355x": 288,
}  # fmt: skip


def test_every_accelerator_that_the_course_speaks_of_is_there() -> None:
    assert {g.key for g in gpus()} >= set(ASKED_FOR.split())


@pytest.mark.parametrize("card", gpus(), ids=lambda g: g.key)
def test_a_card_is_whole_and_names_its_source(card: Gpu) -> None:
    assert card.source
    assert min(card.memory_gib, card.bandwidth_gb_s, card.link_gb_s, *card.flops.values()) > 0
    if {"bf16", "fp8"} <= card.flops.keys():
        assert card.flops["fp8"] == pytest.approx(2 * card.flops["bf16"], rel=0.02)


@pytest.mark.parametrize(("key", "box"), BOX_GB.items())
def test_usable_memory_is_less_than_the_box_says(key: str, box: int) -> None:
    assert 0.85 * box < gpu(key).memory_gib <= box


@pytest.mark.parametrize(
    ("key", "capability"),
    [("t4", "7.5"), ("a100", "8.0"), ("l40s", "8.9"), ("h200", "9.0"), ("b200", "10.0"),
     ("b300", "10.3"), ("rtx5090", "12.0"), ("mi300x", "gfx942"), ("xeon", "cpu")],
)  # fmt: skip
def test_an_architecture_is_one_makers_and_shown_as_its_maker_writes_it(
    key: str, capability: str
) -> None:
    card = gpu(key)
    assert card.compute_capability == capability  # developer.nvidia.com/cuda-gpus
    assert [card.is_nvidia, card.is_amd, card.is_cpu].count(True) == 1
    assert card.is_sm90 == (capability == "9.0")
    assert card.is_sm100 == capability.startswith("10.")


@pytest.mark.parametrize("name", ["H200", "RTX 4090", "rtx-4090", "mi300X"])
def test_a_card_is_found_however_it_is_written(name: str) -> None:
    assert gpu(name).key == "".join(c for c in name.lower() if c.isalnum())


@pytest.mark.parametrize(("typed", "key"), TYPED.items())
def test_a_gpu_is_found_by_what_people_type_and_by_what_nvidia_smi_prints(
    typed: str, key: str
) -> None:
    assert gpu(typed).key == key


@pytest.mark.parametrize(("key", "mib"), SMI_MIB.items())
def test_memory_is_what_the_driver_shows(key: str, mib: int) -> None:
    assert gpu(key).memory_gib == pytest.approx(mib / 1024, abs=1e-3)


@pytest.mark.parametrize(
    ("name", "nearest"),
    [("h30", "h20 (96 GiB)"), ("rtx4099", "rtx4090 (24 GiB)"), ("rtx 4090 48gb", "rtx6000ada (48"),
     ("MI100", "mi210"), ("rtx 3080 20GB", "a10 (22"), ("B100", "b200 (179")],
)  # fmt: skip
def test_an_unknown_gpu_gives_the_nearest_by_maker_and_memory_and_how_to_describe_it(
    name: str, nearest: str
) -> None:
    with pytest.raises(UnknownName) as caught:
        gpu(name)
    assert f"nearest by maker and memory: {nearest}" in caught.value.hint
    assert "--gpu-memory-gib" in caught.value.hint
    assert "--like" in caught.value.hint


def test_a_gpu_that_is_not_in_the_table_is_described() -> None:
    h20 = described(96, 4000)
    assert (h20.arch, h20.flops["bf16"]) == ("sm90", 148)  # nearest in both figures
    modded = described(48, like="rtx4090")
    assert (modded.memory_gib, modded.bandwidth_gb_s, modded.arch) == (48, 1008, "sm89")
    made = Profile.of("27b", "fp8", modded, 1)
    assert made.title == "27b-fp8-customx1"
    assert made.gpu.provenance.kind == "computed"
    assert "RTX 4090" in modded.source


@pytest.mark.parametrize("arguments", [(-1, 5), (96, 0), (None, None), (None, 4000)])
def test_a_description_without_memory_or_with_figures_that_cannot_be_is_refused(
    arguments: tuple[float | None, float | None],
) -> None:
    with pytest.raises(InvalidValue):
        described(*arguments)


def test_the_sources_three_commands_have_short_names() -> None:
    h200, h100, b200 = (profile(name) for name in ("h200x8", "h100x16", "b200x8"))
    assert [p.name for p in profiles()[:3]] == ["h200x8", "h100x16", "b200x8"]
    assert (h200.tp_size, h200.nodes, h200.mem_fraction_static) == (8, 1, 0.8)
    assert (h100.tp_size, h100.nodes, h100.mem_fraction_static) == (16, 2, 0.8)
    assert (b200.tp_size, b200.mtp, b200.mem_fraction_static) == (8, None, 0.85)
    assert h200.mtp == h100.mtp == Mtp(num_steps=3, eagle_topk=1, num_draft_tokens=4)
    assert {p.precision for p in (h200, h100, b200)} == {"bf16"}


@pytest.mark.parametrize(
    ("model", "precision"), [("397b", "bf16"), ("397b", "gptq-int4"), ("0.8b", "bf16")]
)
@pytest.mark.parametrize("card", [g.key for g in gpus() if not g.is_cpu])
def test_a_long_name_means_its_parts(model: str, precision: str, card: str) -> None:
    made = Profile.of(model, precision, card, 2)
    assert profile(made.title) == made


def test_a_long_name_with_a_wrong_part_names_the_part() -> None:
    with pytest.raises(UnknownName, match="GPU called 'rtx4099'"):
        profile("4b-bf16-rtx4099x1")


def test_every_cell_of_the_cookbooks_matrix_has_a_profile() -> None:
    matrix = tomllib.loads((DATA / "cookbook_matrix.toml").read_text())
    named = {(p.model.name, p.precision, p.gpu.key) for p in cookbook()}
    for name, by_precision in matrix["cells"].items():
        for precision, row in by_precision.items():
            columns = matrix["hardware"] if "all" in row else row
            assert {(name, precision, column) for column in columns} <= named
    assert len({p.name for p in profiles()}) == len(profiles())


def test_each_cell_has_both_strategies_where_it_offers_mtp() -> None:
    by_place: dict[tuple[str, str, str], list[bool]] = {}
    for cell in cells():
        by_place.setdefault((cell.model, cell.precision, cell.gpu), []).append(cell.mtp)
    for (_, _, where), strategies in by_place.items():
        assert strategies == ([False] if where == "xeon" else [True, False])


@pytest.mark.parametrize(
    ("name", "fields"),
    [
        ("397b-fp8-h200x8", {"ep_size": 8, "ssm_dtype": "bfloat16", "max_running_requests": 128}),
        ("397b-nvfp4-b200x4", {"kv_dtype": "fp8", "radix_cache": False}),
        ("397b-mxfp4-mi355x-x2", {"kv_dtype": "bf16", "radix_cache": False}),
        ("122b-fp8-h100x4", {"mem_fraction_static": None}),
        ("35b-bf16-h100x1", {"mtp": None, "mem_fraction_static": 0.88}),
        ("27b-fp8-xeonx6", {"mtp": None, "overlap": False}),
        ("0.8b-bf16-b300x1", {"max_running_requests": 4064}),
    ],
)
def test_a_cells_options_are_the_pages(name: str, fields: dict[str, Any]) -> None:
    p = profile(name)
    assert {field: getattr(p, field) for field in fields} == fields


@pytest.mark.parametrize(
    ("precision", "checkpoint"),
    [
        ("bf16", "Qwen/Qwen3.5-397B-A17B"),
        ("fp8", "Qwen/Qwen3.5-397B-A17B-FP8"),
        ("nvfp4", "nvidia/Qwen3.5-397B-A17B-NVFP4"),
        ("mxfp4", "amd/Qwen3.5-397B-A17B-MXFP4"),
        ("gptq-int4", "Qwen/Qwen3.5-397B-A17B-GPTQ-Int4"),
    ],
)
def test_a_precision_names_its_checkpoint(precision: str, checkpoint: str) -> None:
    assert Profile.of("397b", precision, "b200", 8).checkpoint == checkpoint


def test_a_profile_of_ones_own_starts_from_the_cookbooks_cell() -> None:
    assert Profile.of("397b", "fp8", "h200", 8) == profile("397b-fp8-h200x8")
    assert Profile.of("397b", "bf16", "b200", 8).mtp is not None  # the cookbook's, not Lambda's
    changed = Profile.of("397b", "bf16", "h200", 8, mem_fraction_static=0.7)
    assert changed.mem_fraction_static == 0.7
    assert "changed" in changed.source


def test_a_profile_of_ones_own_has_defaults_and_as_many_nodes_as_it_needs() -> None:
    p = Profile.of("397b", "bf16", "a100", 16)
    assert (p.nodes, p.mem_fraction_static, p.mtp) == (2, 0.8, Mtp())
    assert Profile.of("397b", "bf16", "gb200", 8).nodes == 2
    assert Profile.of("235b", "bf16", "h200", 8).mtp is None
    assert Profile.of("4b", "bf16", "xeon", 3).mtp is None


def test_a_profile_says_whose_choice_it_is() -> None:
    assert profile("h200x8").to_json()["provenance"]["kind"] == "published"
    assert Profile.of("4b", "bf16", "t4", 1).to_json()["provenance"]["kind"] == "computed"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("397b", "bf16", "h100", 3), "2 or 4 GPUs"),
        (("397b", "bf16", "h100", 12), "8 or 16 GPUs"),
        (("397b", "bf16", "h100", 32), "16 GPUs"),
        (("27b", "bf16", "h100", 16), "8 GPUs"),
        (("0.8b", "bf16", "h100", 8), "4 GPUs"),  # twelve heads of vision
        (("397b", "bf16", "h100", 0), "1 or more"),
        (("397b", "bf16", "h100", -8), "1 or more"),
        (("397b", "bf16", "h1000", 8), "nearest by maker and memory: h100 (80 GiB)"),
        (("397b", "fp16", "h100", 8), "did you mean bf16"),
        (("379b", "bf16", "h100", 8), "did you mean 397b"),
    ],
)
def test_what_cannot_be_is_refused_with_the_nearest_that_can(
    arguments: tuple[str, str, str, int], words: str
) -> None:
    with pytest.raises(KitError) as caught:
        Profile.of(*arguments)
    assert words in str(caught.value)


def test_xeon_pads_heads_that_do_not_divide() -> None:
    assert Profile.of("397b", "bf16", "xeon", 6).tp_size == 6


@pytest.mark.parametrize(
    "change",
    [
        {"context_length": -1},
        {"context_length": 0},
        {"context_length": 2_000_000},
        {"mem_fraction_static": 1.5},
        {"mem_fraction_static": 0.0},
        {"max_running_requests": 0},
        {"nodes": 3},
        {"nodes": 0},
        {"tp_size": 16},  # sixteen on one node of eight
        {"ep_size": 3},
        {"ssm_dtype": "int8"},
        {"kv_dtype": "fp4"},
        {"chunked_prefill_size": -1},
        {"mamba_radix_cache_strategy": "none"},
        {"mm_feature_transport": "carrier pigeon"},
        {"precision": "int3"},
    ],
    ids=str,
)
def test_options_that_no_server_takes(change: dict[str, Any]) -> None:
    with pytest.raises(KitError) as caught:
        replace(profile("h200x8"), **change)
    assert caught.value.hint


def test_more_combinations_that_no_server_takes() -> None:
    with pytest.raises(InvalidValue, match="no MTP head"):
        Profile.of("235b", "bf16", "h200", 8, mtp=Mtp())
    with pytest.raises(InvalidValue, match="no experts"):
        Profile.of("27b", "bf16", "h200", 2, ep_size=2)
    with pytest.raises(InvalidValue, match="CUDA IPC"):
        replace(profile("h100x16"), mm_feature_transport="cuda_ipc")
    with pytest.raises(InvalidValue, match="NVIDIA"):
        Profile.of("9b", "bf16", "mi300x", 1, mm_feature_transport="cuda_ipc")
    with pytest.raises(InvalidValue, match="draft tokens"):
        Mtp(num_steps=3, eagle_topk=1, num_draft_tokens=8)


def test_an_unknown_profile_names_the_nearest() -> None:
    with pytest.raises(UnknownName, match="did you mean h200x8"):
        profile("h200x80")
    assert profile("397B-bf16-h200x8") == profile("h200x8")


def test_a_profile_may_hold_a_model_of_ones_own() -> None:
    mine = replace(model("27b"), name="mine", repo="me/mine")
    assert Profile.of(mine, "bf16", gpu("h200"), 1).checkpoint == "me/mine"
