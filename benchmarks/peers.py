"""Install the peers of the `bench` extra into this environment, and leave out those that do not install.

    python -m benchmarks.peers

Together where that works, else one at a time. Constraints are pip's own (PIP_CONSTRAINT, which `make` sets).
"""

from __future__ import annotations

import importlib.metadata
import re
import subprocess
import sys

__all__ = ["main", "requirements"]


def requirements() -> list[str]:
    """What the extra asks for, its conditions on the platform kept."""
    found = []
    for line in importlib.metadata.requires("ragvec") or []:
        requirement, _, condition = line.partition(";")
        if re.search(r"extra == ['\"]bench['\"]", condition):
            rest = re.sub(r"(\band\b)?\s*extra == ['\"]bench['\"]", "", condition).strip().strip("()")
            found.append(f"{requirement.strip()}; {rest}" if rest else requirement.strip())
    return found


def main() -> None:
    every = requirements()
    if _install(every):
        return
    print("some peers do not install, so each is tried alone", file=sys.stderr)
    for one in every:
        if not _install([one]):
            print(f"left out: {one}", file=sys.stderr)


def _install(some: list[str]) -> bool:
    command = [sys.executable, "-m", "pip", "install", "--quiet", *some]
    return subprocess.run(command, check=False, stderr=subprocess.PIPE).returncode == 0


if __name__ == "__main__":
    main()
