"""load.py: SkyPilot tasks, a JSON string per line on stdin → what SkyPilot's loader makes of them.

A program of its own, in SkyPilot's environment. Validation looks accelerators up in a
catalog that SkyPilot downloads; here it holds the names that the package itself carries.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

MARK = "loaded: "  # SkyPilot prints lines of its own


def known_accelerators() -> set[str]:
    """The names that SkyPilot's package has for GPUs, over all clouds and clusters."""
    from sky.provision.runpod.utils import GPU_NAME_MAP
    from sky.utils.gpu_names import CANONICAL_GPU_NAMES

    return {*CANONICAL_GPU_NAMES, *GPU_NAME_MAP}


def write_catalog(names: set[str]) -> None:
    from sky.catalog.common import get_catalog_path

    file = Path(get_catalog_path("common/accelerators.csv"))
    file.parent.mkdir(parents=True, exist_ok=True)
    rows = [f"{name},\"['Kubernetes']\"" for name in sorted(names)]
    file.write_text("\n".join(["AcceleratorName,Clouds", *rows, ""]), encoding="utf-8")


def loaded(text: str) -> dict[str, Any]:
    """The task as SkyPilot reads and validates it, or {"error": …}."""
    from sky import Task

    try:
        task = Task.from_yaml_str(text)
        task.validate()
    except ValueError as refused:  # SkyPilot's own complaint: its exceptions are ValueErrors
        return {"error": str(refused)}
    (resources,) = task.resources
    return {
        "name": task.name,
        "nodes": task.num_nodes,
        "accelerators": resources.accelerators,
        "image": resources.extract_docker_image(),
        "disk_gb": resources.disk_size,
        "ports": resources.ports,
        "run": task.run,
    }


if __name__ == "__main__":
    names = known_accelerators()
    write_catalog(names)
    print(MARK + json.dumps(sorted(names)))
    for line in sys.stdin:
        print(MARK + json.dumps(loaded(json.loads(line))), flush=True)
