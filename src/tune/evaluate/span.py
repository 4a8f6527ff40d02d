"""A difference as people read it."""

from tune.evaluate.paired import Delta

POINTS = 100.0
"""A share of 0.01 is one point."""

MINUS = "\N{MINUS SIGN}"
SMALL = 0.1  # below it one decimal says nothing


def span(delta: Delta, scale: float = POINTS) -> str:
    """Return a difference and its interval: +0.6 points [0.1, 1.1].

    Args:
        delta: The difference, in the unit of its score.
        scale: What it is multiplied by; 100 makes points of shares, and says so.
    """
    mean, low, high = (signed(value * scale) for value in (delta.mean, delta.low, delta.high))
    plus = "+" if delta.mean > 0 else ""
    return f"{plus}{mean}{' points' if scale == POINTS else ''} [{low}, {high}]"


def signed(value: float) -> str:
    """Return one decimal, or two digits where that would be zero."""
    digits = f"{value:.1f}" if abs(value) >= SMALL or value == 0 else f"{value:.2g}"
    return digits.replace("-", MINUS)
