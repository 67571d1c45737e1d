"""The stand-ins that multi-token prediction needs: attention as SGLang's own PyTorch backend
computes it, drafts by what greedy decoding means."""

from __future__ import annotations

import random

import pytest
import torch
from sgl_kernel import attention, drafts
from sgl_kernel.states import scatter_states
from sglang.srt.layers.attention.torch_native_backend import TorchNativeAttnBackend
from torch.testing import assert_close

HEADS, KV_HEADS, DIM, SLOTS = 4, 2, 16, 64
PLAIN = {"cap": 0.0, "cross": False, "window": 0, "_encoder": None, "sinks": None}


@pytest.fixture(autouse=True)
def seed() -> None:
    torch.manual_seed(11)


@pytest.fixture
def cache() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Keys, values, and the scattered slots of two requests."""
    keys, values = (torch.randn(SLOTS, KV_HEADS, DIM) for _ in range(2))
    slots = torch.randperm(SLOTS)[:40].view(2, 20).to(torch.int32)
    return keys, values, slots


@pytest.mark.parametrize("new", [(4, 4), (9, 1)], ids=["drafts to verify", "a prefill"])
def test_new_tokens_attend_as_in_sglangs_own_backend(cache, new) -> None:  # type: ignore[no-untyped-def]
    keys, values, slots = cache
    lengths, count = torch.tensor([12, 7]), torch.tensor(new)
    q = torch.randn(sum(new), HEADS, DIM)
    mine, theirs = torch.zeros_like(q), torch.zeros_like(q)
    requests = torch.tensor([1, 0])
    attention.extend_attention_cpu(
        q, None, None, mine, keys, values, 1.0, 1.0, slots, requests, lengths, count,
        torch.tensor([0, new[0]]), max(new), 0.25, tree_mask=None, causal=True, **PLAIN,
    )  # fmt: skip
    TorchNativeAttnBackend._run_sdpa_forward_extend(
        None, q, theirs, keys, values, slots, requests, lengths, lengths - count, count,
        scaling=0.25, enable_gqa=True, causal=True,
    )  # fmt: skip
    assert_close(mine, theirs)


def test_one_new_token_a_request_is_kept_and_attends(cache) -> None:  # type: ignore[no-untyped-def]
    keys, values, slots = cache
    lengths, requests = torch.tensor([12, 7]), torch.tensor([0, 1])
    q, new_k, new_v = torch.randn(2, HEADS, DIM), *torch.randn(2, 2, KV_HEADS, DIM)
    new_slots = torch.stack([slots[0, 11], slots[1, 6]]).long()
    mine, theirs = torch.zeros_like(q), torch.zeros_like(q)
    attention.decode_attention_cpu(
        q, keys, values, 1.0, 1.0, mine, new_k, new_v, new_slots, q, slots, requests, lengths,
        0.25, **PLAIN,
    )  # fmt: skip
    assert_close(keys[new_slots], new_k)
    assert_close(values[new_slots], new_v)
    TorchNativeAttnBackend._run_sdpa_forward_decode(
        None, q, theirs, keys, values, slots, requests, lengths, scaling=0.25, enable_gqa=True
    )
    assert_close(mine, theirs)


def verified(tokens: list[list[int]], said: list[list[int]]) -> tuple[list[int], list[list[int]]]:
    """How many drafts stand, and what each request says in this step, by the stand-ins."""
    requests, n = len(tokens), len(tokens[0])
    lengths = torch.arange(requests) + 5
    index, following, sibling = (torch.zeros(requests, n, dtype=torch.long) for _ in range(3))
    positions = torch.zeros(requests * n, dtype=torch.long)
    drafts.build_tree_kernel_efficient_cpu(
        lengths, lengths, lengths, None, positions, index, following, sibling, 1, n - 1, n, 0
    )
    assert positions.view(requests, n)[:, 0].tolist() == lengths.tolist()
    predicts = torch.full((requests * n,), -1)
    accepted, stand = torch.full((requests, n), -1), torch.zeros(requests, dtype=torch.long)
    drafts.verify_tree_greedy_cpu(
        predicts=predicts, accept_index=accepted, accept_token_num=stand,
        candidates=torch.tensor(tokens), retrive_index=index, retrive_next_token=following,
        retrive_next_sibling=sibling, target_predict=torch.tensor(said),
    )  # fmt: skip
    rows = [[int(predicts[i]) for i in row if i >= 0] for row in accepted.tolist()]
    return stand.tolist(), rows


def test_a_step_says_what_greedy_decoding_would_have_said() -> None:
    draw = random.Random(3)
    for _ in range(200):
        following = {t: draw.randrange(6) for t in range(6)}  # a model: the token after each
        guesses = [[draw.randrange(6)] for _ in range(3)]
        for row in guesses:
            while len(row) < 4:  # a drafter that is right three times in four
                row.append(following[row[-1]] if draw.random() < 0.75 else draw.randrange(6))
        stand, rows = verified(guesses, [[following[t] for t in row] for row in guesses])
        for row, count, says in zip(guesses, stand, rows, strict=True):
            greedy, token = [], row[0]
            for _ in range(count + 1):
                token = following[token]
                greedy.append(token)
            assert says == greedy
            assert row[1 : count + 1] == greedy[:count]
            assert count == 3 or row[count + 1] != greedy[count]


def test_states_of_the_accepted_draft_are_taken_over_and_no_others() -> None:
    pool, kept = torch.randn(2, 5, 3, 4), torch.randn(2, 2, 4, 3, 4)
    before = pool.clone()
    scatter_states(pool, kept, torch.tensor([4, 1]), torch.tensor([2, -1]))
    assert_close(pool[:, 4], kept[:, 0, 2])
    assert_close(pool[:, :4], before[:, :4])


def test_moved_slots_hold_what_the_old_ones_held() -> None:
    layers = [torch.randn(8, 2, 4) for _ in range(2)]
    before = [layer.clone() for layer in layers]
    drafts.copy_all_layer_kv_cache_cpu(
        torch.tensor([layer.data_ptr() for layer in layers]),
        torch.tensor([layer[0].numel() * layer.element_size() for layer in layers]),
        torch.tensor([1, 2]), torch.tensor([2, 5]),
    )  # fmt: skip
    for layer, old in zip(layers, before, strict=True):
        assert_close(layer[[1, 2]], old[[2, 5]])  # read before any is written
        assert_close(layer[[0, 3, 4, 5, 6, 7]], old[[0, 3, 4, 5, 6, 7]])


def test_the_mtp_layer_reads_one_token_further() -> None:
    ids = torch.tensor([10, 11, 12, 20, 21])
    drafts.rotate_input_ids_cpu(
        ids, torch.tensor([0, 3]), torch.tensor([3, 2]), torch.tensor([7, 8])
    )
    assert ids.tolist() == [11, 12, 7, 21, 8]


def test_a_tree_of_drafts_is_refused() -> None:
    with pytest.raises(NotImplementedError, match="eagle-topk 1"):
        drafts.build_draft_decode_metadata_cpu(torch.zeros(1, 4), torch.tensor([0]), None, 2, 3, 4)
