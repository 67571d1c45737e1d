"""Lesson 01: experts at work, KV of a hybrid, and where state and cache weigh the same."""

from __future__ import annotations

from collections.abc import Mapping

from kit.course.check import Exercise
from kit.models import model

_LARGE = model("397b")
_FEWER = 8


def _active_b() -> float:
    p = _LARGE.parameters()
    return (p.text - p.routed_experts * (1 - _FEWER / _LARGE.num_experts)) / 1e9


def _working_active() -> str:
    p = _LARGE.parameters()
    rest = (p.text - p.routed_experts) / 1e9
    return f"{rest:.2f} + {p.routed_experts / 1e9:.2f} × {_FEWER} / {_LARGE.num_experts}"


def _share_of_active_b() -> float:
    return _LARGE.active_params * _FEWER / _LARGE.num_experts_per_tok / 1e9


def _experts_alone_b() -> float:
    return _LARGE.parameters().routed_experts * _FEWER / _LARGE.num_experts / 1e9


def kv_bytes(config: Mapping[str, int]) -> int:
    layers = config["num_hidden_layers"] // config["full_attention_interval"]
    return layers * config["num_key_value_heads"] * config["head_dim"] * 2 * 2


def _every_layer(config: Mapping[str, int]) -> int:
    return kv_bytes({**config, "full_attention_interval": 1})


def _key_alone(config: Mapping[str, int]) -> int:
    return kv_bytes(config) // 2


def _values(config: Mapping[str, int]) -> int:
    return kv_bytes(config) // 4


def _one_head(config: Mapping[str, int]) -> int:
    return kv_bytes(config) // config["num_key_value_heads"]


_FIELDS = ("num_hidden_layers", "full_attention_interval", "num_key_value_heads", "head_dim")


def config_of(size: str) -> dict[str, int]:
    """The four fields of a model's configuration that its KV cache follows from."""
    return {field: int(getattr(model(size), field)) for field in _FIELDS}


def _crossing(ssm_dtype: str = "float32") -> float:
    return _LARGE.state_bytes_per_request(ssm_dtype) / _LARGE.kv_bytes_per_token(mtp=False)


EXERCISES = (
    Exercise(
        "01-1",
        f"How many billion parameters does a token use in the 397B with {_FEWER} experts each?",
        _active_b,
        hint="Only the routed experts shrink; attention, DeltaNet and the rest stay as they are.",
        solution="Two experts fewer in each layer; whatever is no routed expert is used as before.",
        tolerance=0.003,
        working=_working_active,
        unit="billions of parameters",
    )
    .wrong(
        _share_of_active_b,
        "you scaled all that a token uses; more than half of it is no routed expert.",
    )
    .wrong(_experts_alone_b, "those are the routed experts alone; add what always works.")
    .wrong(lambda: _LARGE.active_params / 1e9, "that is with all ten."),
    Exercise(
        "01-2",
        "Write a function of a configuration (a dict with the four fields): how many bytes of KV "
        "cache does one token take, in BF16 and without MTP?",
        lambda: kv_bytes,
        hint="Layers with full attention × KV heads × head_dim, a key and a value, two bytes each.",
        solution="Four fields decide what a long request costs; the size of the model is not "
        "among them.",
        cases=tuple((config_of(size),) for size in ("397b", "27b", "9b", "0.8b")),
    )
    .wrong(
        lambda: _every_layer, "that counts every layer; three of four keep a state and no cache."
    )
    .wrong(lambda: _key_alone, "a key and a value, of two bytes each: a factor of two is missing.")
    .wrong(lambda: _values, "those are numbers, not bytes: a key and a value, two bytes each.")
    .wrong(lambda: _one_head, "that is the cache of one KV head; a layer has several."),
    Exercise(
        "01-3",
        "From how many tokens on does the KV cache of a request outweigh its GDN state?",
        _crossing,
        hint="Divide the bytes of the state by the bytes of KV cache that a token takes.",
        solution="Below it, a request costs mostly state; above it, mostly cache.",
        tolerance=0.005,
        working=lambda: (
            f"{_LARGE.state_bytes_per_request():,} / {_LARGE.kv_bytes_per_token(mtp=False):,}"
        ),
        unit="tokens",
    )
    .wrong(
        lambda: _crossing("bfloat16"),
        "that is a state in bfloat16; the configuration says float32.",
    )
    .wrong(
        lambda: _crossing() / _LARGE.full_attention_interval,
        "that lets every layer keep a cache; only every fourth does.",
    )
    .wrong(
        lambda: _LARGE.state_bytes_per_request() / _LARGE.kv_bytes_per_token(mtp=True),
        "that has the MTP head's layer in the cache.",
    ),
)
