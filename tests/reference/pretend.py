"""SGLang's argument resolution, told by its own `override_platform` which GPU it runs on."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest import mock

import sglang.srt.arg_groups.memory_hook as memory_hook
from sglang.srt.runtime_context import override_platform

from kit.hardware import Gpu


def facts(gpu: Gpu) -> dict[str, Any]:
    """What SGLang would find out about the machine."""
    sm = 0 if gpu.is_amd else int(gpu.compute_capability.replace(".", ""))
    none = dict.fromkeys(("is_npu", "is_xpu", "is_musa", "is_mps", "has_amx"), False)
    return {
        **none,
        "is_hip": gpu.is_amd,
        "is_cuda": not gpu.is_amd,
        "has_flashinfer": not gpu.is_amd,
        "is_sm90": sm == 90,
        "is_sm100": sm in (100, 103),
        "is_sm100_or_sm110": sm in (100, 103),
        "is_sm110": False,
        "is_sm120": sm == 120,
        "is_blackwell": sm >= 100,
        "is_hopper_with_cuda_12_3": sm == 90,
        "device_sm": sm,
        "device_capability": divmod(sm, 10),
    }


@contextmanager
def on(gpu: Gpu) -> Iterator[None]:
    """Resolve as on this GPU; what SGLang sets in the environment meanwhile is taken back."""
    memory_mib = round(gpu.memory_gib * 1024)
    with ExitStack() as stack:
        if not gpu.is_cpu:  # that one is here
            stack.enter_context(override_platform(**facts(gpu)))
        stack.enter_context(
            mock.patch.object(memory_hook, "get_device_memory_capacity", return_value=memory_mib)
        )
        stack.enter_context(mock.patch.dict(os.environ))
        yield
