"""The locked packages: what their licences allow, and what is known to be wrong with them.

    python deploy/packages.py licences     # a line per licence; 1 where one does not go with ours
    python deploy/packages.py audit        # pip-audit's findings; 1 for any, 3 where it saw nothing

Ours is Apache-2.0. Licences of the Apache Software Foundation's categories A and B go with it
(apache.org/legal/resolved.html); what is not in the list below, GPL among it, is for a person to
decide, so it fails.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections import defaultdict
from importlib.metadata import PackageNotFoundError, metadata
from pathlib import Path

LOCK = Path(__file__).resolve().parents[1] / "requirements.txt"
PIP_AUDIT = "pip-audit==2.10.1"
FINE = {
    "0bsd", "apache-2.0", "bsd-2-clause", "bsd-3-clause", "cc0-1.0", "cnri-python", "isc", "mit",
    "mit-0", "mit-cmu", "mpl-2.0", "psf-2.0", "python-2.0", "unlicense", "zlib",
}  # fmt: skip
SPDX = {  # as older metadata have it
    "apache 2.0": "Apache-2.0",
    "apache license, version 2.0": "Apache-2.0",
    "apache software license": "Apache-2.0",
    "bsd license": "BSD-3-Clause",
    "isc license (iscl)": "ISC",
    "mit license": "MIT",
    "mozilla public license 2.0 (mpl 2.0)": "MPL-2.0",
    "python software foundation license": "PSF-2.0",
}


def locked(lock: Path = LOCK) -> list[str]:
    """The names in the lock."""
    names = re.findall(r"^([a-z0-9][a-z0-9._-]*)==", lock.read_text(encoding="utf-8"), re.M)
    return list(dict.fromkeys(names))


def licence(name: str) -> str:
    """What an installed package says of its licence, in SPDX's words where they are known."""
    about = metadata(name)
    classifiers = [
        text.rpartition(" :: ")[2]
        for text in about.get_all("Classifier") or []
        if text.startswith("License ::") and not text.endswith(("DFSG approved", "OSI Approved"))
    ]
    field = (about.get("License") or "").strip().split("\n")[0]
    said = about.get("License-Expression") or " AND ".join(classifiers) or field or "not stated"
    return " AND ".join(SPDX.get(part.lower(), part) for part in said.split(" AND "))


def is_fine(said: str) -> bool:
    """Whether Apache-2.0 software may be given away with it: each AND, and one of each OR."""
    plain = said.replace("(", " ").replace(")", " ").lower()
    return all(
        any(one.strip() in FINE for one in part.split(" or ")) for part in plain.split(" and ")
    )


def licences() -> int:
    found: dict[str, list[str]] = defaultdict(list)
    absent = []
    for name in locked():
        try:
            found[licence(name)].append(name)
        except PackageNotFoundError:  # for another system
            absent.append(name)
    for said, names in sorted(found.items(), key=lambda item: -len(item[1])):
        mark = "" if is_fine(said) else "NOT ALLOWED  "
        print(f"{len(names):3}  {mark}{said}: {', '.join(names)}")
    print(f"{len(absent):3}  not installed on this system: {', '.join(absent)}")
    return 0 if all(map(is_fine, found)) else 1


def audit() -> int:
    uv = Path(sys.executable).with_name("uv")
    done = subprocess.run(
        [uv, "tool", "run", "--quiet", PIP_AUDIT, "--disable-pip", "--require-hashes", "--format",
         "json", "--progress-spinner", "off", "--requirement", LOCK],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    try:
        rows = json.loads(done.stdout)["dependencies"]
    except (ValueError, KeyError):
        print(
            f"no database could be reached: {(done.stderr.strip() or '?').splitlines()[-1][:300]}"
        )
        return 3
    seen = [row for row in rows if "vulns" in row]
    wrong = [(row, one) for row in seen for one in row["vulns"]]
    for row, one in wrong:
        mended = ", ".join(one["fix_versions"]) or "none yet"
        print(f"{row['name']} {row['version']}: {one['id']}; mended in {mended}")
    print(f"{len(seen)} of {len(rows)} packages looked up, {len(wrong)} findings")
    if not seen:
        print("the index in use knows of no vulnerabilities: ask the public one")
        return 3
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit({"licences": licences, "audit": audit}[sys.argv[1]]())
