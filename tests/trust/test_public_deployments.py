"""What kit plan would choose for public deployments, beside what their owners run."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "benchmarks"))

from public_deployments import deployments, own, page  # noqa: E402

pytestmark = pytest.mark.trust_long


def test_the_page_says_what_the_kit_says_now() -> None:
    written = (ROOT / "docs" / "public-deployments.md").read_text(encoding="utf-8")
    assert page() == written, "python benchmarks/public_deployments.py > docs/public-deployments.md"


@pytest.mark.parametrize("deployment", deployments(), ids=lambda d: d.name)
def test_at_their_precision_their_gpus_hold_it_or_are_marginal(deployment) -> None:
    option = own(deployment.plan(), deployment.own_precision)
    assert option is not None
    same = option.gpus == deployment.gpus
    assert same or (option.gpus == 2 * deployment.gpus and option.one_fewer_is_marginal)
