"""Scores and p-values as text."""

import math

LEVEL = 0.05
"""Level of significance: 95 % intervals, and p-values below it are differences that are shown."""


def percent(value: float, digits: int = 1, sign: bool = False) -> str:
    """Return a fraction in percent: `97.2`; `absent` if it is NaN.

    Args:
        value: Fraction.
        digits: Number of decimals.
        sign: Write the sign of a positive number, too.
    """
    if math.isnan(value):
        return "absent"
    text = f"{100 * value:{'+' if sign else ''}.{digits}f}"
    # zero has no sign
    return text.lstrip("+-") if not float(text) else text.replace("-", "−")


def format_p_value(p: float) -> str:
    """Return a p-value as text: `p = 0.012`."""
    # enough digits that a p-value below the level reads so
    digits = next(digits for digits in range(2, 17) if (round(p, digits) < LEVEL) == (p < LEVEL))
    return "p < 0.001" if p < 0.001 else f"p = {p:.2g}" if p < 0.01 else f"p = {p:.{digits}f}"
