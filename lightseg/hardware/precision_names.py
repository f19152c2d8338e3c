"""Names of precisions: Lightning's canonical ones, and the aliases that it accepts."""

from typing import Any

AUTO = "auto"
"""Value of `trainer.precision` that a choice for the device replaces."""

FLOAT32 = "32-true"

_ALIASES = {"64": "64-true", "32": "32-true", "16": "16-mixed", "bf16": "bf16-mixed"}
"""Lightning's table of aliases."""


def canonical_precision(value: Any) -> str:
    """Return Lightning's canonical name of a precision; any other value as text.

    Args:
        value: Precision in a recipe: `32`, `"bf16"`, `"32-true"`, `auto`; null is 32-true.
    """
    name = FLOAT32 if value is None else str(value)
    return _ALIASES.get(name, name)
