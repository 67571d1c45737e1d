"""Lesson 01: experts at work, KV of a hybrid, and where state and cache weigh the same."""

from __future__ import annotations

from kit.course.check import Exercise
from kit.models import model

_LARGE = model("397b")
_DENSE = model("27b")
_FEWER = 8


def _active_b() -> float:
    p = _LARGE.parameters()
    return (p.text - p.routed_experts * (1 - _FEWER / _LARGE.num_experts)) / 1e9


def _share_of_active_b() -> float:
    return _LARGE.active_params * _FEWER / _LARGE.num_experts_per_tok / 1e9


def _experts_alone_b() -> float:
    return _LARGE.parameters().routed_experts * _FEWER / _LARGE.num_experts / 1e9


def _kv_bytes() -> int:
    return _DENSE.kv_bytes_per_token(mtp=False)


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
    )
    .wrong(
        _share_of_active_b,
        "you scaled all that a token uses; more than half of it is no routed expert.",
    )
    .wrong(_experts_alone_b, "those are the routed experts alone; add what always works.")
    .wrong(lambda: _LARGE.active_params / 1e9, "that is with all ten."),
    Exercise(
        "01-2",
        "How many bytes of KV cache does a token take in the 27B, without MTP?",
        _kv_bytes,
        hint="Layers with full attention × KV heads × head_dim, a key and a value, two bytes each.",
        solution="Every fourth layer keeps a cache, of four KV heads: twice the 397B's bytes, "
        "in a model a fifteenth of its size.",
    )
    .wrong(
        lambda: _kv_bytes() * _DENSE.full_attention_interval,
        "that counts every layer; three of four keep a state and no cache.",
    )
    .wrong(lambda: _kv_bytes() // 2, "a key and a value: you counted one of them.")
    .wrong(
        lambda: _DENSE.kv_bytes_per_token(mtp=True),
        "that has the MTP head's layer in it, which keeps a cache of its own.",
    ),
    Exercise(
        "01-3",
        "From how many tokens on does the KV cache of a request outweigh its GDN state?",
        _crossing,
        hint="Divide the bytes of the state by the bytes of KV cache that a token takes.",
        solution="Below it, a request costs mostly state; above it, mostly cache.",
        tolerance=0.005,
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
