"""Plays one seed and prints its story: python -m tests.simulation SEED [--steps N].

With --seeds N it plays N seeds, and prints only those that fail.
"""

import argparse
import sys
import time

from tests.simulation.play import STEPS_OF_A_STORY, StoryFailedError, Tally, play


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("seed", type=int)
    parser.add_argument("--steps", type=int, default=STEPS_OF_A_STORY)
    parser.add_argument("--seeds", type=int, default=1, help="play this many seeds from SEED on, without their stories")
    arguments = parser.parse_args()
    tally, failed, began = Tally(), 0, time.monotonic()
    for seed in range(arguments.seed, arguments.seed + arguments.seeds):
        try:
            play(seed, arguments.steps, tally, tell=arguments.seeds == 1)
        except StoryFailedError as error:
            failed += 1
            print(error)  # noqa: T201 (this is a command)
    print(tally.text())  # noqa: T201
    print(f"{time.monotonic() - began:.1f} s, {failed} failed")  # noqa: T201
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
