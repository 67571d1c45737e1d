"""`--mm-attention-backend`: what the kit lets through, and what SGLang itself does on each GPU."""

from __future__ import annotations

import re
from contextlib import ExitStack
from types import SimpleNamespace
from unittest import mock

import pretend
import pytest
import sglang.kernels.ops.attention.flash_attention_v3 as fa3_kernels
import sglang.srt.layers.attention.vision as vision
import torch

from kit import load_data
from kit.errors import InvalidValue
from kit.hardware import Gpu, Profile, gpus
from kit.hardware.validate import obstacle
from kit.launch import launch_plan

BACKENDS = sorted(load_data.toml("flag_rules.toml")["vision_backends"])
SERVED = [g for g in gpus() if not obstacle(Profile.of("0.8b", "bf16", g, 1))]
EVERY_GPU = pytest.mark.parametrize("card", SERVED, ids=lambda g: g.key)


def kit_takes(card: Gpu, backend: str) -> bool:
    try:
        launch_plan(Profile.of("0.8b", "bf16", card, 1), mm_attention_backend=backend)
    except InvalidValue:
        return False
    return True


def on(card: Gpu, stack: ExitStack) -> None:
    """`vision.py` as if it had been imported on a machine with this GPU."""
    capability = divmod(card.arch_number, 10) if card.is_nvidia else (9, 4)
    if not card.is_cpu:
        stack.enter_context(pretend.override_platform(**pretend.facts(card)))
    for name, value in {
        "_is_cuda": card.is_nvidia,
        "_is_hip": card.is_amd,
        "_use_aiter": card.is_amd,
        "_is_cpu": card.is_cpu,
        "_is_cpu_amx_available": card.is_cpu,
        "is_cuda": lambda: card.is_nvidia,
        "get_device_capability": lambda: capability,
    }.items():
        stack.enter_context(mock.patch.object(vision, name, value))
    stack.enter_context(
        mock.patch.object(fa3_kernels, "get_device_capability", return_value=capability)
    )
    cuda = "13.0" if card.is_nvidia else None
    stack.enter_context(mock.patch.object(torch.version, "cuda", cuda))


def chosen(card: Gpu, asked: str | None) -> str:
    """The backend that SGLang's vision tower ends at. Raises ValueError where it refuses."""
    with ExitStack() as stack:
        on(card, stack)
        unset = SimpleNamespace(mm_attention_backend=None)
        stack.enter_context(mock.patch.object(vision, "get_mm", return_value=unset))
        return str(vision.VisionAttention._determine_attention_backend(None, asked))


def sglang_takes(card: Gpu, backend: str) -> bool:
    try:
        chosen(card, backend)
        with ExitStack() as stack:
            on(card, stack)
            if backend == "fa3" and not fa3_kernels._is_fa3_supported.__wrapped__():
                return False
            vision.QKV_BACKEND_IMPL[backend](head_dim=72, num_heads=16, num_kv_heads=16)
    except ImportError:  # AMD's own library is not here
        return True
    except Exception as refused:  # SGLang raises bare ones
        if not re.search("not supported|only available", str(refused)):
            raise
        return False
    return True


@EVERY_GPU
def test_what_sglang_takes_by_itself_may_also_be_asked_for(card: Gpu) -> None:
    assert kit_takes(card, chosen(card, None))


@EVERY_GPU
def test_fa3_is_taken_where_sglang_has_kernels_for_it(card: Gpu) -> None:
    assert kit_takes(card, "fa3") == sglang_takes(card, "fa3")


@EVERY_GPU
@pytest.mark.parametrize("backend", BACKENDS)
def test_nothing_passes_that_sglang_refuses(card: Gpu, backend: str) -> None:
    assert sglang_takes(card, backend) or not kit_takes(card, backend)
