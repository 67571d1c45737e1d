"""The locked packages may be given away with Apache-2.0 software, and uv itself is hashed."""

from __future__ import annotations

import importlib.util
import inspect
import re
import subprocess
import sys
from pathlib import Path

import pytest

from kit import setup

ROOT = Path(__file__).parents[2]
_spec = importlib.util.spec_from_file_location("packages", ROOT / "deploy" / "packages.py")
assert _spec is not None
assert _spec.loader is not None
packages = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(packages)


@pytest.mark.parametrize(
    ("said", "fine"),
    [
        ("MIT", True),
        ("Apache-2.0 OR BSD-2-Clause", True),
        ("MPL-2.0 AND MIT", True),
        ("GPL-3.0-only OR MIT", True),
        ("(MIT OR GPL-2.0-only) AND BSD-3-Clause", True),
        ("GPL-3.0-only", False),
        ("MIT AND AGPL-3.0-only", False),
        ("LGPL-2.1-or-later", False),
        ("GNU General Public License v3 (GPLv3)", False),
        ("Other/Proprietary License", False),
        ("not stated", False),
        ("", False),
    ],
)
def test_a_licence_that_is_not_known_to_go_with_ours_fails(said: str, fine: bool) -> None:
    assert packages.is_fine(said) is fine


def test_every_locked_package_may_be_given_away_with_ours() -> None:
    done = subprocess.run(
        [sys.executable, str(ROOT / "deploy" / "packages.py"), "licences"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
    assert len(packages.locked()) > 100
    assert "mpl-2.0: " in done.stdout.lower()


def test_uv_is_installed_by_its_hashes() -> None:
    """Setting up's own words, over the lock: one package, each of its lines a hash."""
    lines = setup.uv_entry((ROOT / "requirements.txt").read_text()).splitlines()
    assert re.fullmatch(r"uv==[\d.]+ \\", lines[0])
    assert len(lines) > 10
    assert all(re.fullmatch(r"    --hash=sha256:[0-9a-f]{64}( \\)?", line) for line in lines[1:])
    assert '"--require-hashes", "--no-deps", "-r", uv_lock' in inspect.getsource(setup.install)
