"""What has to be adapted in modules that are otherwise left as released.

Some places take it for granted that a CPU server has Intel AMX or a CUDA
build of PyTorch. Each is adapted once, when the module concerned is imported.
The last three are for speculation: it runs on the backend `intel_amx` alone.
"""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import importlib.util
import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any


def _declare_torchvision_ops() -> None:
    """torchvision's released wheel is built for CUDA: its C++ operators do not load beside a
    CPU torch, yet its Python side asks that they be declared. Image resizing needs none of them."""
    import torch

    global _torchvision  # the declarations last as long as this object
    _torchvision = torch.library.Library("torchvision", "FRAGMENT")
    for name in ("nms", "qnms"):
        _torchvision.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")


def _replace(module: ModuleType, name: str, value: object) -> None:
    assert hasattr(module, name), f"{module.__name__} has no {name}: this is made for SGLang 0.5.23"
    setattr(module, name, value)


def _take_cpu_branch(module: ModuleType) -> None:
    """The gated norm has a CPU branch, but enters it on machines with AMX only."""
    _replace(module, "_use_cpu", True)


def _gate_shared_expert_in_torch(module: ModuleType) -> None:
    """The gate of the shared expert exists as triton kernels only."""
    from sgl_kernel.moe import gate_shared_expert, gate_shared_expert_into

    _replace(module, "fused_gate_sigmoid_mul", gate_shared_expert)
    _replace(module, "fused_gate_sigmoid_mul_add", gate_shared_expert_into)


class _WithAmx:
    """The platform as it is, but for the question whether it has AMX."""

    has_amx = True

    def __init__(self, platform: object) -> None:
        self._platform = platform

    def __getattr__(self, name: str) -> Any:
        return getattr(self._platform, name)


def _keep_the_amx_backend(module: ModuleType) -> None:
    """Asked for by name, `intel_amx` is taken back on a machine without AMX: its operators are
    stood in for."""
    platform = module.get_platform
    _replace(module, "get_platform", lambda: _WithAmx(platform()))


def _draft_on_the_amx_backend(module: ModuleType) -> None:
    """The same for the MTP layer's own backend."""
    _replace(module, "cpu_has_amx_support", lambda: True)


def _scatter_states_in_torch(module: ModuleType) -> None:
    """States of accepted drafts are taken over by triton kernels only."""
    from sgl_kernel.states import scatter_states

    _replace(module, "fused_mamba_state_scatter_with_mask", scatter_states)
    _replace(module, "fused_conv_window_scatter_with_mask", scatter_states)
    _replace(module, "_conv_multi_eligible", lambda pairs: False)


BEFORE: dict[str, Callable[[], None]] = {"torchvision": _declare_torchvision_ops}
AFTER: dict[str, Callable[[ModuleType], None]] = {
    "sglang.kernels.ops.attention.fla.layernorm_gated": _take_cpu_branch,
    "sglang.kernels.ops.elementwise.elementwise": _gate_shared_expert_in_torch,
    "sglang.srt.arg_groups.overrides": _keep_the_amx_backend,
    "sglang.srt.speculative.draft_utils": _draft_on_the_amx_backend,
    "sglang.kernels.ops.mamba.mamba_state_scatter_triton": _scatter_states_in_torch,
}


class _Loader(importlib.abc.Loader):
    """Loads a module as its own loader would, and adapts it before anybody sees it."""

    def __init__(self, loader: importlib.abc.Loader, adapt: Callable[[ModuleType], None]) -> None:
        self._loader = loader
        self._adapt = adapt

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType | None:
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        self._loader.exec_module(module)
        self._adapt(module)


class _Finder(importlib.abc.MetaPathFinder):
    def find_spec(
        self, name: str, path: object = None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if name in BEFORE:
            BEFORE.pop(name)()
        if name not in AFTER:
            return None
        spec = importlib.machinery.PathFinder.find_spec(name, path)
        if spec is not None and spec.loader is not None:
            spec.loader = _Loader(spec.loader, AFTER[name])
        return spec


def install() -> None:
    """Adapt the modules above as they are imported."""
    sys.meta_path.insert(0, _Finder())
