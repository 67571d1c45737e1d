"""A checkpoint's config.json of any size and shape: sized, or refused in two lines, at once."""

from __future__ import annotations

import json
import math
import time

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kit import load_data
from kit.errors import KitError
from kit.hardware import Profile
from kit.models import checkpoint
from kit.sizing import explain, plan

WHOLE = json.loads(load_data.text("models/397b.json"))
FLAT = sorted({*WHOLE, *WHOLE["text_config"], *WHOLE["vision_config"], "quantization_config"})
HUGE = [10**9, 10**12, 2**63, 10**400, 1e308]
ODD = [
    None,
    True,
    -1,
    0,
    1,
    3,
    0.5,
    math.nan,
    math.inf,
    "",
    "x\ny",
    "\ud800",
    [],
    [[]],
    {},
    {"a": 1},
]
KEYS = st.dictionaries(
    st.sampled_from(FLAT), st.sampled_from([*HUGE, *ODD]), min_size=1, max_size=4
)
SLOW = settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))


def changed(changes: dict) -> str:
    """The config with some of its fields changed, wherever they stand."""
    parts = {name: WHOLE[name] | changes for name in ("text_config", "vision_config")}
    return json.dumps(WHOLE | parts | {k: v for k, v in changes.items() if k not in parts})


def sized_or_refused(folder, text: str | bytes) -> str:
    file = folder / "config.json"
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    began_s = time.process_time()
    try:
        spec, stored = checkpoint(str(file))
        told = str(explain(plan(Profile.of(spec, stored or "bf16", "h200", 8))))
    except KitError as problem:
        told = str(problem)
        if len(told.splitlines()) > 2 or len(told) > 2000:
            raise
    assert time.process_time() - began_s < 5
    return told


@SLOW
@given(KEYS)
def test_a_config_with_anything_in_it_is_sized_or_refused(tmp_path, changes):
    assert sized_or_refused(tmp_path, changed(changes))


@pytest.mark.trust_long
@settings(SLOW, max_examples=2500)
@given(KEYS)
def test_so_are_five_thousand(tmp_path, changes):
    assert sized_or_refused(tmp_path, changed(changes))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (changed({"num_hidden_layers": 10**9}), "num_hidden_layers is 1000000000: no model"),
        (changed({"depth": 10**9}), "depth is 1000000000: no model"),
        (changed({"hidden_size": 10**400}), "no model has so many"),
        (changed({"num_experts": math.nan}), "num_experts is nan"),
        (json.dumps(WHOLE | {"text_config": [1] * 100_000}), "text_config is"),
        (changed({"architectures": ["x\n" * 1000]}), "cannot be sized"),
        ('{"a":' * 100_000, "nobody wrote"),
        ('{"num_hidden_layers": ' + "9" * 5000 + "}", "nobody wrote"),
        (b"\xff\x00\xfe" * 100, "config.json"),
        ("[1]", "no JSON object"),
    ],
)
def test_what_no_model_has_is_refused_by_its_name(tmp_path, text, says):
    assert says in sized_or_refused(tmp_path, text)


def test_a_config_of_a_hundred_megabytes_is_not_read(tmp_path):
    file = tmp_path / "config.json"
    with file.open("wb") as stream:
        stream.truncate(100_000_000)
    began_s = time.process_time()
    with pytest.raises(KitError, match="larger than 16 MiB"):
        checkpoint(str(file))
    assert time.process_time() - began_s < 1
