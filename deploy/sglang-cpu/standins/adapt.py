"""What has to be adapted in modules that are otherwise left as released.

Three places take it for granted that a CPU server has Intel AMX or a CUDA
build of PyTorch. Each is adapted once, when the module concerned is imported.
"""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import importlib.util
import sys
from collections.abc import Callable
from types import ModuleType


def _declare_torchvision_ops() -> None:
    """torchvision's released wheel is built for CUDA: its C++ operators do not load beside a
    CPU torch, yet its Python side asks that they be declared. Image resizing needs none of them."""
    import torch

    global _torchvision  # the declarations last as long as this object
    _torchvision = torch.library.Library("torchvision", "FRAGMENT")
    for name in ("nms", "qnms"):
        _torchvision.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")


def _take_cpu_branch(module: ModuleType) -> None:
    """The gated norm has a CPU branch, but enters it on machines with AMX only."""
    module._use_cpu = True


def _gate_shared_expert_in_torch(module: ModuleType) -> None:
    """The gate of the shared expert exists as triton kernels only."""
    from sgl_kernel.moe import gate_shared_expert, gate_shared_expert_into

    module.fused_gate_sigmoid_mul = gate_shared_expert
    module.fused_gate_sigmoid_mul_add = gate_shared_expert_into


BEFORE: dict[str, Callable[[], None]] = {"torchvision": _declare_torchvision_ops}
AFTER: dict[str, Callable[[ModuleType], None]] = {
    "sglang.kernels.ops.attention.fla.layernorm_gated": _take_cpu_branch,
    "sglang.kernels.ops.elementwise.elementwise": _gate_shared_expert_in_torch,
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
