"""How many passes may be asked for. This file imports nothing, for `serfiq --help` to be quick."""

FEWEST_PASSES = 3
"""The standard error leaves one out, and a pair must remain."""

MOST_PASSES = 10_000
"""Of so many the mask bank over 25,088 features is 1 GB."""
