"""The files of a choice: the launch plan of a replica in every form, the router's, the figures."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from kit.capacity.judge import Option
from kit.capacity.plan import CapacityPlan
from kit.capacity.report import amount, replicas
from kit.errors import InvalidValue, KitError
from kit.launch import HTTP_PORT, RouterPlan, launch_plan, router_plan
from kit.launch.render import FORMS
from kit.launch.router import ROUTER_FORMS

_ENDING = {"compose": "yaml", "k8s": "yaml", "skypilot": "yaml"}  # others are scripts


def export(plan: CapacityPlan, folder: Path, option: Option | None = None) -> list[Path]:
    """Write the files of `option`, by default the best, into `folder`; their paths.

    Raises KitError where they cannot be written; InvalidValue where nothing holds.
    """
    chosen = option or plan.best
    if chosen.verdict == "does not hold":
        raise InvalidValue(
            f"{chosen.candidate.title} does not hold the target: there is nothing to export",
            "ask for less, or name other GPUs",
        )
    try:
        folder.mkdir(parents=True, exist_ok=True)
        return [_written(folder / name, text) for name, text in _files(plan, chosen)]
    except OSError as error:
        raise KitError(
            f"{folder}: {error.strerror or error}", "give --export a folder that can be written"
        ) from error


def router_of(option: Option) -> RouterPlan:
    """The router before an option's replicas, at names to be replaced by their addresses."""
    urls = [f"http://REPLICA{n}_IP:{HTTP_PORT}" for n in range(1, option.replicas + 1)]
    return router_plan(urls, shared_prefix=any(row.shared for row in option.target.rows))


def _files(plan: CapacityPlan, option: Option) -> Iterator[tuple[str, str]]:
    launch = launch_plan(option.profile, plan.sglang)
    for form in FORMS:
        try:
            yield f"replica.{form}.{_ENDING.get(form, 'sh')}", launch.form(form)
        except InvalidValue:
            continue  # a form that this machine has not: Slurm on a CPU
    if option.replicas > 1:
        for form in ROUTER_FORMS:
            yield f"router.{form}.{_ENDING.get(form, 'sh')}", router_of(option).form(form)
    yield "plan.json", json.dumps(plan.to_json(), indent=2, ensure_ascii=False) + "\n"
    yield "README.txt", _readme(plan, option)


def _readme(plan: CapacityPlan, option: Option) -> str:
    t = plan.target
    lines = [
        f"{t}",
        f"{option.verdict}: {replicas(option)} of {option.candidate.title}, {option.gpus} GPUs; "
        f"each takes {amount(t, option.capacity)}",
        "",
        f"1. Start replica.* {option.replicas} times, each on {option.candidate.gpus} GPUs of its "
        "own (one form is enough).",
        "   Two on one machine: CUDA_VISIBLE_DEVICES for each, and another --port for the second.",
    ]
    if option.replicas > 1:
        lines.append("2. Put their addresses for REPLICA1_IP … into router.*, and start it.")
    lines += ["", str(option.provenance), ""]
    return "\n".join(lines)


def _written(path: Path, text: str) -> Path:
    """Whole or not at all."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
        os.chmod(name, 0o644)
        os.replace(name, path)
    except OSError:
        Path(name).unlink(missing_ok=True)
        raise
    return path
