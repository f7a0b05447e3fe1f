"""`./run chaos`: the drills in their long form, round after round, each with its seed.

A run of one round is repeated by its seed: the same victims in the same order, at the same
moments of the drill.
"""

import argparse
import os
import secrets
import shlex
import subprocess
import sys

from tests.chaos.extent import EXTENT, LONG

DRILLS = ("tests/chaos", "tests/integration/services/test_year.py")
MOST_SECONDS_OF_A_DRILL = 1_800


def main() -> int:
    """Run rounds until one fails; the exit code is pytest's."""
    arguments, for_pytest = _parser().parse_known_args()
    for number in range(1, arguments.rounds + 1):
        seed = arguments.seed or secrets.token_hex(4)
        sys.stdout.write(f"== round {number} of {arguments.rounds}: --seed {seed}\n")
        sys.stdout.flush()
        pytest = [sys.executable, "-m", "pytest", *DRILLS, "-v", "-s"]
        done = subprocess.run(
            [*pytest, f"--timeout={MOST_SECONDS_OF_A_DRILL}", *for_pytest],
            env={
                **os.environ,
                EXTENT: "short" if arguments.short else LONG,
                "ORDERTRAIL_CHAOS_SEED": seed,
            },
            check=False,
        )
        if done.returncode:
            again = ["--seed", seed, *(["--short"] if arguments.short else []), *for_pytest]
            sys.stdout.write(f"== round {number} failed; again: ./run chaos {shlex.join(again)}\n")
            return done.returncode
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="./run chaos", description=__doc__, epilog="Other arguments go to pytest."
    )
    parser.add_argument("--seed", help="repeat the round of this seed; drawn by default")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--short", action="store_true", help="as `./run test` drills")
    return parser


if __name__ == "__main__":
    sys.exit(main())
