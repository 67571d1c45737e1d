"""Data files: a key that no reader knows is refused, in every table of every file."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from kit import load_data, sampling
from kit.bench import metric_list
from kit.errors import KitError
from kit.hardware import profile
from kit.hardware.cookbook import cells
from kit.hardware.gpu import gpus
from kit.hardware.profile import profiles
from kit.launch import containers, flags, launch_plan, published_commands, render
from kit.models.precision import precisions
from kit.models.spec import FAMILY
from kit.scheduler import acceptance
from kit.scheduler import config as scheduler_config
from kit.sizing import accounting, plan
from kit.speed import Constants
from kit.speed.constants import table

UNKNOWN = "unheard_of"


def every_rule() -> None:
    p = profile("h200x8")
    list(flags.rule_flags(p, "0.5.23"))
    list(flags.rule_env(p, "0.5.23"))
    list(flags.left_out(p, "0.5.23", set()))
    flags.changes("0.5.9", "0.5.23")


# file → who reads it, and what they remember of it
READERS: dict[str, tuple[Callable[[], object], tuple[Any, ...]]] = {
    "hardware.toml": (gpus, (gpus,)),
    "precisions.toml": (precisions, (precisions,)),
    "profiles.toml": (profiles, (profiles,)),
    "cookbook_matrix.toml": (cells, (cells,)),
    "accounting.toml": (accounting.table, (accounting.table,)),
    "flags.toml": (flags.spellings, (flags.spellings,)),
    "flag_rules.toml": (every_rule, (flags.flag_rules,)),
    "source_commands.toml": (
        published_commands.source_commands,
        (published_commands.source_commands,),
    ),
    "recipes/images.toml": (containers.containers, (containers.containers,)),
    "recipes/reach.toml": (lambda: render.ways(1), ()),
    "recipes/skypilot.toml": (lambda: launch_plan(profile("h200x8")).form("skypilot"), ()),
    "sampling.toml": (sampling.settings, (sampling.settings,)),
    "scheduler.toml": (lambda: scheduler_config.Rules.of(plan(profile("h200x8"))), ()),
    "report_metrics.toml": (metric_list.read, ()),
    "acceptance.toml": (acceptance.Requests.fitted, (acceptance.Requests.fitted,)),
    "speed.toml": (Constants.fitted, (Constants.fitted, table)),
}
# Tables whose keys are names, not fields: of GPUs, models, flags, options of LaunchOptions.
NAMES = {
    ("hardware.toml",), ("precisions.toml",), ("profiles.toml",), ("flags.toml",),
    ("source_commands.toml",), ("recipes/images.toml",), ("cookbook_matrix.toml", "cells"),
    *(("cookbook_matrix.toml", "cells", name) for name in FAMILY),
}  # fmt: skip
LEAVES = ("flops", "slots", "set", "vision_backends", "max_tokens", "options", "extra", "names")


def tables(found: Any, path: tuple[Any, ...]) -> Iterator[tuple[Any, ...]]:
    """The path of every table of fields; of a list's tables, the first."""
    if isinstance(found, list):
        found = dict(enumerate(found[:1]))
    elif isinstance(found, dict) and path not in NAMES:
        yield path
    if isinstance(found, dict):
        for key, inner in found.items():
            if key not in LEAVES:
                yield from tables(inner, (*path, key))


PLACES = [place for name in READERS for place in tables(load_data.toml(name), (name,))]


@pytest.mark.parametrize("place", PLACES, ids=lambda p: "/".join(map(str, p)))
def test_an_unknown_key_is_refused(place: tuple[Any, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    name, *path = place
    changed = copy.deepcopy(load_data.toml(name))
    table = changed
    for key in path:
        table = table[key]
    table[UNKNOWN] = 1
    real = load_data.toml
    monkeypatch.setattr(load_data, "toml", lambda n: changed if n == name else real(n))
    read, caches = READERS[name]
    for cache in caches:
        cache.cache_clear()
    try:
        with pytest.raises((TypeError, ValueError, KitError), match=UNKNOWN):
            read()
    finally:
        for cache in caches:
            cache.cache_clear()


def test_a_rule_holds_where_each_fact_is_the_wanted_one_or_among_them() -> None:
    facts = {"gpu": "h200", "mtp": True}
    assert load_data.holds({}, facts)
    assert load_data.holds({"gpu": ["h100", "h200"], "mtp": True}, facts)
    assert not load_data.holds({"gpu": ["h100"], "mtp": True}, facts)
    with pytest.raises(ValueError, match="gpus"):
        load_data.holds({"gpus": ["h200"]}, facts)
