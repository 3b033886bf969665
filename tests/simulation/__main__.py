"""Plays one seed again, line by line: python -m tests.simulation SEED [--steps N]. With --from, many, silently."""

import argparse
import sys
import time

from tests.simulation.play import STEPS_OF_A_STORY, StoryFailedError, Tally, play


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("seed", type=int)
    parser.add_argument("--steps", type=int, default=STEPS_OF_A_STORY)
    parser.add_argument("--seeds", type=int, default=1, help="this many seeds from there on, silently")
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
