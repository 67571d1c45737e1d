"""Gives SGLang's forced acceptance random token ids; Python runs this in every server process.

As released, `SGLANG_SIMULATE_ACC_LEN` sets every accepted token to the id 100. Tokens that are all
alike choose the same experts, and a mixture of experts then reads too little. The function that
does it is wrapped when its module is imported; the installed package stays as it is.
KIT_RANDOM_IDS_BELOW is the number of words in the vocabulary. `kit rehearse --random-ids` puts a
copy of this file on the server's PYTHONPATH and says so on its page.
"""

from __future__ import annotations

import os
import runpy
import sys
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from types import ModuleType
from typing import Any

MODULE, FUNCTION = "sglang.srt.speculative.spec_utils", "generate_simulated_accept_index"


def wrap(module: ModuleType) -> None:
    simulate, words = getattr(module, FUNCTION), int(os.environ["KIT_RANDOM_IDS_BELOW"])

    def with_random_ids(*args: Any, **given: Any) -> Any:
        accepted = simulate(*args, **given)
        (given["predict"] if "predict" in given else args[1]).random_(0, words)
        return accepted

    setattr(module, FUNCTION, with_random_ids)
    print(f"kit rehearse: forced tokens get random ids below {words}", flush=True)


class Finder:
    @staticmethod
    def find_spec(name: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        spec = PathFinder.find_spec(name, path) if name == MODULE else None
        if spec and spec.loader:
            load: Any = spec.loader.exec_module
            spec.loader.exec_module = lambda module: (load(module), wrap(module))  # type: ignore
        return spec


if "KIT_RANDOM_IDS_BELOW" in os.environ:
    sys.meta_path.insert(0, Finder)

# Python runs the first sitecustomize on the path only: run the one that this stands before.
here = Path(__file__).resolve()
files = (Path(folder, "sitecustomize.py").resolve() for folder in sys.path)
if after := next((file for file in files if file != here and file.is_file()), None):
    runpy.run_path(str(after))
