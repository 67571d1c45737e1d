"""The GPUs of this machine, and what of the family they can serve.

nvidia-smi and rocm-smi are read strictly: what does not look like their answer is said to be
unknown, and nothing is computed from it.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass

from kit.course.doctor.machine import Finding, Machine
from kit.errors import InvalidValue, KitError, UnknownName
from kit.hardware import Gpu, Profile, described, gpu
from kit.hardware.validate import obstacle
from kit.models import ModelSpec, family
from kit.models.precision import precisions
from kit.sizing import plan

WITHIN_S = 2.0
NVIDIA, AMD = "nvidia-smi", "rocm-smi"
_FIELDS = "name,memory.total,driver_version"
_OWN_MEMORY = 0.05  # the driver's figure may differ from the table's by this share
_NONE = "none: the lessons run on the twin"
_DRIVER = "nvidia-smi must work by itself first: load or update the driver, or reboot"


@dataclass(frozen=True)
class Device:
    """One GPU as its driver shows it; `memory_gib` is None where it shows none (unified memory),
    `compute_capability` "" where the tool does not know it."""

    name: str
    memory_gib: float | None
    driver: str
    compute_capability: str = ""


def gpus(machine: Machine) -> Finding:
    """What GPUs there are, and the largest of the family that they serve."""
    if machine.which(NVIDIA):
        found = _nvidia(machine)
    elif machine.which(AMD):
        found = _amd(machine)
    else:
        return Finding("GPU", "ok", _NONE)
    if isinstance(found, Finding):
        return found
    (first, count), *others = Counter(found).most_common()
    memory = f" of {first.memory_gib:.0f} GiB" if first.memory_gib else ""
    capability = first.compute_capability and f", compute capability {first.compute_capability}"
    about = f"{count}× {first.name}{memory}, driver {first.driver}{capability}"
    if others:
        about += f"; and {sum(n for _, n in others)} of other kinds"
    try:
        kind, options = _known(first)
    except KitError as problem:
        return Finding("GPU", "unknown", f"{about}; {problem.what}", problem.hint)
    ranks = _ranks(count)
    held = {spec.name: plans for spec, plans in fitting(kind, ranks) if plans}
    if not held:
        return Finding("GPU", "ok", f"{about}: no size of the family fits")
    sizes = ", ".join(f"{name} ({', '.join(plans)})" for name, plans in held.items())
    commands = (
        f"kit command --model {name} --precision {plans[0]} {options} --count {ranks}"
        for name, plans in held.items()
    )
    return Finding("GPU", "ok", f"{about}: serves {sizes}", "\n".join(commands))


def _nvidia(machine: Machine) -> tuple[Device, ...] | Finding:
    """The GPUs that nvidia-smi lists. Older ones do not know the compute capability."""
    for fields in (f"{_FIELDS},compute_cap", _FIELDS):
        asked = [NVIDIA, f"--query-gpu={fields}", "--format=csv,noheader,nounits"]
        try:
            said = machine.run(asked, WITHIN_S)
        except (KitError, OSError) as problem:
            what = problem.what if isinstance(problem, KitError) else str(problem)
            return Finding("GPU", "unknown", f"could not be checked: {what}", _DRIVER)
        if said.code == 0 or "not a valid field" not in said.text + said.errors:
            break
    if said.code:
        why = _first(said.text + said.errors) or f"it ended with {said.code}"
        return Finding("GPU", "warn", f"nvidia-smi fails: {why}", _DRIVER)
    rows = [line.split(", ") for line in said.text.splitlines() if line.strip()]
    try:
        return tuple(_device(row, len(fields.split(","))) for row in rows) or _strange(said.text)
    except ValueError:
        return _strange(said.text)


def _device(row: list[str], columns: int) -> Device:
    """A row of nvidia-smi. Raises ValueError for what is none."""
    if len(row) != columns or not row[2][:1].isdigit():
        raise ValueError(row)
    name, mib, driver, *capability = (cell.strip() for cell in row)
    memory = None if mib.strip("[]").upper() in ("N/A", "NOT SUPPORTED") else float(mib) / 1024
    return Device(name, memory, driver, "".join(capability))


def _amd(machine: Machine) -> tuple[Device, ...] | Finding:
    """The GPUs that rocm-smi lists; its keys are spelt differently from version to version."""
    asked = [AMD, "--showproductname", "--showmeminfo", "vram", "--showdriverversion", "--json"]
    try:
        said = machine.run(asked, WITHIN_S)
        every = json.loads(said.text)
        driver = _value(every.get("system", {}), "driver version") or "unknown"
        devices = tuple(
            Device(
                _value(row, "card series"),
                int(_value(row, "vram total memory (b)")) / 2**30,
                driver,
                _value(row, "gfx version"),
            )
            for key, row in every.items()
            if key.startswith("card")
        )
    except (KitError, OSError) as problem:
        what = problem.what if isinstance(problem, KitError) else str(problem)
        return Finding("GPU", "unknown", f"could not be checked: {what}", f"does {AMD} work?")
    except (ValueError, AttributeError):
        return _strange(said.text, AMD)
    return devices or _strange(said.text, AMD)


def _value(row: dict[str, str], key: str) -> str:
    return next((value for name, value in row.items() if name.lower() == key), "")


def _strange(text: str, tool: str = NVIDIA) -> Finding:
    said = _first(text) or "nothing"
    return Finding(
        "GPU", "unknown", f"could not be checked: {tool} prints {said!r}", f"see what {tool} says"
    )


def _first(text: str) -> str:
    return next((line.strip()[:160] for line in text.splitlines() if line.strip()), "")


def _known(device: Device) -> tuple[Gpu, str]:
    """The GPU in the kit's table, with its own memory where that is another; and its options for
    `kit command`. Raises UnknownName for one that is not in the table and shows no memory."""
    memory = device.memory_gib
    try:
        known = gpu(device.name)
    except UnknownName:
        if memory is None:
            raise
        return described(memory), f"--gpu-memory-gib {memory:.2f}"
    if memory is None or abs(memory - known.memory_gib) <= _OWN_MEMORY * known.memory_gib:
        return known, f"--gpu {known.key}"
    return described(memory, like=known), f"--gpu {known.key} --gpu-memory-gib {memory:.2f}"


def _ranks(count: int) -> int:
    """How many of them a server takes: ranks are a power of two."""
    return int(2 ** (count.bit_length() - 1))


def fitting(kind: Gpu, count: int) -> Iterator[tuple[ModelSpec, list[str]]]:
    """Each size of the family, largest first, and its precisions that fit."""
    for spec in family():
        held = []
        for recipe in precisions().values():
            if spec.name not in recipe.sizes:
                continue
            with suppress(InvalidValue):
                chosen = Profile.of(spec, recipe.key, kind, count)
                if obstacle(chosen) is None and plan(chosen).fits:
                    held.append(recipe.key)
        yield spec, held
