"""The CPU stand-ins against transformers' own code for the same architecture."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from sgl_kernel import conv, gdn, moe, norms
from torch.testing import assert_close
from transformers.models.qwen3_5 import modeling_qwen3_5 as reference

KEY_HEADS, VALUE_HEADS, KEY_DIM, VALUE_DIM = 2, 4, 16, 8


@pytest.fixture(autouse=True)
def seed() -> None:
    torch.manual_seed(7)


def gdn_inputs(tokens: int) -> dict[str, torch.Tensor]:
    return {
        "q": torch.randn(1, tokens, KEY_HEADS, KEY_DIM),
        "k": torch.randn(1, tokens, KEY_HEADS, KEY_DIM),
        "v": torch.randn(1, tokens, VALUE_HEADS, VALUE_DIM),
        "g": -torch.rand(1, tokens, VALUE_HEADS),
        "beta": torch.rand(1, tokens, VALUE_HEADS),
    }


def reference_rule(x: dict[str, torch.Tensor], state: torch.Tensor) -> tuple[torch.Tensor, ...]:
    """transformers works through chunks of 64 tokens, and keeps its state as [K, V]."""
    q, k = (x[n].repeat_interleave(VALUE_HEADS // KEY_HEADS, dim=2) for n in ("q", "k"))
    out, after = reference.torch_chunk_gated_delta_rule(
        q, k, x["v"], g=x["g"], beta=x["beta"], initial_state=state.transpose(-1, -2)[None],
        output_final_state=True, use_qk_l2norm_in_kernel=True,
    )  # fmt: skip
    return out, after[0].transpose(-1, -2)


def test_prefill_of_two_sequences_is_transformers_chunked_rule() -> None:
    lengths = (70, 5)  # one beyond a chunk of 64, one within
    parts = [gdn_inputs(n) for n in lengths]
    joined = {name: torch.cat([p[name] for p in parts], dim=1) for name in parts[0]}
    pool = torch.randn(3, VALUE_HEADS, VALUE_DIM, KEY_DIM)
    slots = torch.tensor([2, 0])
    expected = [reference_rule(p, pool[slot].clone()) for p, slot in zip(parts, slots, strict=True)]
    untouched = pool[1].clone()

    out, _, _ = gdn.chunk_gated_delta_rule_cpu(
        **joined, initial_state=pool, cu_seqlens=torch.tensor([0, 70, 75]),
        initial_state_indices=slots, head_first=False, use_qk_l2norm_in_kernel=True,
    )  # fmt: skip

    assert_close(out, torch.cat([o for o, _ in expected], dim=1), atol=1e-4, rtol=1e-4)
    for slot, (_, state) in zip(slots, expected, strict=True):
        assert_close(pool[slot], state, atol=1e-4, rtol=1e-4)
    assert_close(pool[1], untouched)


def test_decode_continues_where_prefill_stopped() -> None:
    x = gdn_inputs(9)
    a_log, dt_bias = torch.randn(VALUE_HEADS), torch.randn(VALUE_HEADS)
    a, b = torch.randn(9, VALUE_HEADS), torch.randn(9, VALUE_HEADS)
    x["g"] = (-a_log.exp() * F.softplus(a + dt_bias))[None]
    x["beta"] = b.sigmoid()[None]
    start = torch.randn(VALUE_HEADS, VALUE_DIM, KEY_DIM)
    expected, state = reference_rule(x, start)

    pool = start[None].clone()
    steps = [
        gdn.fused_sigmoid_gating_delta_rule_update_cpu(
            A_log=a_log, dt_bias=dt_bias, q=x["q"][:, t : t + 1], k=x["k"][:, t : t + 1],
            v=x["v"][:, t : t + 1], a=a[t : t + 1], b=b[t : t + 1], initial_state_source=pool,
            initial_state_indices=torch.tensor([0]), cu_seqlens=torch.tensor([0, 1]),
        )
        for t in range(9)
    ]  # fmt: skip

    assert_close(torch.cat(steps, dim=1), expected, atol=1e-4, rtol=1e-4)
    assert_close(pool[0], state, atol=1e-4, rtol=1e-4)


def test_verifying_drafts_keeps_the_state_after_each_and_changes_none() -> None:
    x = gdn_inputs(3)
    a, b = torch.randn(3, VALUE_HEADS), torch.randn(3, VALUE_HEADS)
    common = {"A_log": torch.zeros(VALUE_HEADS), "dt_bias": torch.zeros(VALUE_HEADS)}
    common |= {n: x[n] for n in ("q", "k", "v")}
    common |= {"a": a, "b": b, "cu_seqlens": torch.tensor([0, 3])}
    common["initial_state_indices"] = torch.tensor([0])
    start = torch.randn(1, VALUE_HEADS, VALUE_DIM, KEY_DIM)
    kept = torch.zeros(1, 3, VALUE_HEADS, VALUE_DIM, KEY_DIM)

    verified, decoded = start.clone(), start.clone()
    out = gdn.fused_sigmoid_gating_delta_rule_update_cpu(
        **common, initial_state_source=verified, disable_state_update=True,
        intermediate_states_buffer=kept, intermediate_state_indices=torch.tensor([0]),
    )  # fmt: skip
    also = gdn.fused_sigmoid_gating_delta_rule_update_cpu(**common, initial_state_source=decoded)

    assert_close(out, also)
    assert_close(verified, start)
    assert_close(kept[0, -1], decoded[0])


@pytest.mark.parametrize("bias", [True, False])
def test_convolution_in_two_pieces_is_the_convolution_in_one(bias: bool) -> None:
    channels, width = 6, 4
    x = torch.randn(channels, 11)
    weight, shift = torch.randn(channels, width), torch.randn(channels) if bias else None
    whole = reference.causal_conv1d_fn(x[None], weight, shift, activation="silu")[0]

    states = torch.randn(2, channels, width - 1)  # what an earlier request left behind
    slot = torch.tensor([1])
    prefill = conv.causal_conv1d_fn_cpu(
        x[:, :7], weight, shift, "silu", states, torch.tensor([False]), slot, torch.tensor([0, 7])
    )
    steps = [
        conv.causal_conv1d_update_cpu(x[:, t][None], states, weight, shift, "silu", slot)[0]
        for t in range(7, 11)
    ]

    assert_close(torch.cat([prefill, torch.stack(steps, dim=1)], dim=1), whole)
    assert_close(states[1], x[:, -3:])


def test_norms_are_transformers_norms() -> None:
    x, z = torch.randn(5, 16), torch.randn(5, 16)
    gated = reference.Qwen3_5RMSNormGated(16, eps=1e-6)
    gated.weight.data.normal_()
    assert_close(norms.fused_rmsnorm_gated_cpu(x, gated.weight, z, 1e-6), gated(x, z))

    plain = reference.Qwen3_5RMSNorm(16, eps=1e-6)
    plain.weight.data.normal_()
    q, k = norms.fused_qk_gemma_rmsnorm_cpu(x, z, plain.weight, plain.weight, 1e-6, 16)
    assert_close(q, plain(x))
    assert_close(k, plain(z))


def test_query_and_gate_are_split_within_each_head_as_transformers_splits_them() -> None:
    tokens, heads, dim = 3, 2, 8
    projected, k = torch.randn(tokens, heads * 2 * dim), torch.randn(tokens, dim)
    query, gate = torch.chunk(projected.view(tokens, heads, 2 * dim), 2, dim=-1)
    norm = reference.Qwen3_5RMSNorm(dim, eps=1e-6)

    q, _, g = norms.fused_qk_gemma_rmsnorm_with_gate_cpu(
        projected, k, norm.weight, norm.weight, 1e-6, dim
    )

    assert_close(q.view(tokens, heads, dim), norm(query))
    assert_close(g, gate.reshape(tokens, -1))


def test_the_shared_experts_gate_is_one_number_a_token() -> None:
    x, weight, shared = torch.randn(3, 8), torch.randn(8), torch.randn(3, 8)
    expected = F.sigmoid(F.linear(x, weight[None])) * shared
    assert_close(moe.gate_shared_expert(x, weight, shared), expected)
    out = torch.ones(3, 8)
    moe.gate_shared_expert_into(x, weight, shared, out)
    assert_close(out, 1 + expected)
