"""The long forms of the attacks on a store: `make torture`, or `python -m tests.torture [PART …] [--share 0.1]`.

Each part goes on for its rounds and ends at the first claim that does not hold, naming the seed that shows it again.
"""

from __future__ import annotations

import argparse
import importlib
import sys
import tempfile
import time
from pathlib import Path

# The rounds of the long form; what a round is, the module of the part says.
ROUNDS = {
    "kills": 520,
    "power": 2_000,
    "disk_errors": 2_000,
    "flips": 3_000,
    "processes": 60,
    "leaks": 100,
    "fuzz": 30,
    "http": 100_000,
}


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.torture", description=__doc__)
    parser.add_argument("parts", metavar="PART", nargs="*", help=f"of {', '.join(ROUNDS)}; default: all")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--steps", action="store_true", help="list the steps at which processes were killed, too")
    parser.add_argument("--share", type=float, default=1.0, help="of the rounds of the long form")
    arguments = parser.parse_args()
    if unknown := set(arguments.parts) - set(ROUNDS):
        parser.error(f"no such part: {', '.join(sorted(unknown))}")
    failed = False
    print("| attack | rounds | minutes | figures |\n|---|---|---|---|", flush=True)
    for part in arguments.parts or ROUNDS:
        rounds = max(1, int(ROUNDS[part] * arguments.share))
        began = time.monotonic()
        with tempfile.TemporaryDirectory(prefix=f"ragvec-{part}-") as folder:
            try:
                figures = importlib.import_module(f"tests.torture.{part}").run(
                    rounds=rounds, seed=arguments.seed, folder=Path(folder)
                )
                told = ", ".join(
                    f"{name} {value:,}" if isinstance(value, int) else f"{name} {value}"
                    for name, value in figures.items()
                    if "\n" not in str(value)
                )
                listed = [str(value) for value in figures.values() if "\n" in str(value)]
            except AssertionError as error:
                failed, told, listed = True, f"FAILED: {error}", []
        print(f"| {part} | {rounds:,} | {(time.monotonic() - began) / 60:.1f} | {told} |", flush=True)
        if arguments.steps:
            print("\n".join(listed), file=sys.stderr, flush=True)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
