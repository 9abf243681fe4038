"""How many passes may be asked for."""

MOST_PASSES = 10_000
"""Of so many the mask bank over 25,088 features is 1 GB."""
