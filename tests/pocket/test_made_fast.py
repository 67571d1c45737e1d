"""The trainer's quicker layers compute what transformers' own do, gradients too."""

from __future__ import annotations

import pytest
import torch
from transformers.models.qwen3_5 import modeling_qwen3_5 as theirs

from pocket import fast

# Taken before anything is installed in their place.
_RULE, _CONV = theirs.torch_chunk_gated_delta_rule, theirs.causal_conv1d_fn


@pytest.mark.parametrize("tokens", [1, 64, 150])
@pytest.mark.parametrize("repeated", [False, True])
def test_the_gated_delta_rule_and_its_gradients(tokens: int, repeated: bool) -> None:
    torch.manual_seed(tokens)
    shape = (2, tokens, 4, 32)
    key = torch.randn(2, 1 if repeated else tokens, 4, 32).expand(shape)  # one key: the worst case
    values = [torch.randn(shape), key.clone(), torch.randn(shape)]
    values += [-0.3 * torch.rand(shape[:3]), torch.rand(shape[:3])]
    outputs = []
    for rule in (_RULE, fast.gated_delta_rule):
        q, k, v, g, beta = given = [x.clone().requires_grad_() for x in values]
        out, _ = rule(q, k, v, g=g, beta=beta, use_qk_l2norm_in_kernel=True)
        weights = torch.linspace(-1, 1, out.numel()).view(out.shape)
        outputs.append((out, *torch.autograd.grad((out * weights).sum(), given)))
    for ours, reference in zip(outputs[1], outputs[0], strict=True):
        torch.testing.assert_close(ours, reference, atol=2e-5, rtol=1e-4)


def test_the_convolution_and_its_gradients() -> None:
    torch.manual_seed(0)
    outputs = []
    for convolve in (_CONV, fast.causal_conv1d):
        x = torch.linspace(-2, 2, 2 * 6 * 11).view(2, 6, 11).requires_grad_()
        w = torch.linspace(-1, 1, 24).view(6, 4).requires_grad_()
        out = convolve(x, w, None, activation="silu")
        weights = torch.linspace(-1, 1, out.numel()).view(out.shape)
        outputs.append((out, *torch.autograd.grad((out * weights).sum(), (x, w))))
    for ours, reference in zip(outputs[1], outputs[0], strict=True):
        torch.testing.assert_close(ours, reference, atol=2e-5, rtol=1e-4)
