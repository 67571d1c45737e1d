"""A stand-in for triton: kernels can be declared, none can be launched.

SGLang declares its GPU kernels while it is imported, whether or not it will
run them. Here every name below `triton` exists: decorators hand back what
they decorate, and whatever looks like a class can be made or inherited from.
"""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import sys
from types import ModuleType
from typing import Any

VERSION = "3.4.0+standin"


class _Anything:
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.args, self.kwargs = args, kwargs


class _Name(ModuleType):
    """A module, a decorator or a namespace, as it is used."""

    __path__: list[str] = []  # noqa: RUF012 - what makes a module a package

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        made: Any = (
            type(name, (_Anything,), {"__module__": self.__name__})
            if name[0].isupper()
            else _named(f"{self.__name__}.{name}")
        )
        setattr(self, name, made)
        return made

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """`@triton.jit`, or `@triton.jit(...)` and then the function."""
        if len(args) == 1 and callable(args[0]) and not kwargs:
            return args[0]
        return lambda function: function


class _Finder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Lets `import triton.anything` find a name."""

    def find_spec(
        self, name: str, path: object = None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if not name.startswith("triton."):
            return None
        return importlib.machinery.ModuleSpec(name, self, is_package=True)

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType:
        return _Name(spec.name)

    def exec_module(self, module: ModuleType) -> None:
        pass


_finder = _Finder()


def _named(name: str) -> _Name:
    module = _Name(name)
    module.__spec__ = importlib.machinery.ModuleSpec(name, _finder, is_package=True)
    sys.modules[name] = module
    return module


def cdiv(a: int, b: int) -> int:
    return -(-a // b)


def next_power_of_2(n: int) -> int:
    return 1 << (n - 1).bit_length() if n > 0 else 1


_here = sys.modules[__name__]
_stand_in = _named(__name__)
_stand_in.__dict__.update(
    __version__=VERSION, __file__=__file__, cdiv=cdiv, next_power_of_2=next_power_of_2
)
_stand_in.__spec__ = _here.__spec__
_named(f"{__name__}.backends").backends = {}  # torch asks for which devices there is one
sys.meta_path.insert(0, _finder)
