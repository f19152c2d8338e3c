"""Base of the schemas of foreign files, and the check of a file against one."""

from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, FiniteFloat, TypeAdapter, ValidationError

from lightseg.errors import UserError
from lightseg.files.printable import printable_line


def _require_normal(value: float) -> float:
    if value < 2**-126:
        raise ValueError("must be greater than 0")
    return value


Normal = Annotated[FiniteFloat, AfterValidator(_require_normal)]
"""Number by which a float32 can be divided."""

Count = Annotated[int, Field(ge=0, lt=2**53)]
"""Number of things."""

Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
"""SHA-256 of a file."""


class Record(BaseModel):
    """Mapping whose known keys have the right types, without conversion; further keys are accepted."""

    model_config = ConfigDict(strict=True)


class ClosedRecord(Record):
    """Mapping without further keys."""

    model_config = ConfigDict(extra="forbid")


def require_form(form: TypeAdapter[Any], content: Any, file: Path | str, key: str = "") -> None:
    """Check that the content of a file fits a schema.

    Args:
        form: The schema.
        content: Plain data, as `plain` returns it.
        file: The file, for the message.
        key: The key of the content in the file.

    Raises:
        UserError: If not; the message has the file, the key, the value and the expected one.
    """
    try:
        form.validate_python(content)
    except ValidationError as error:
        path, reason = describe_violation(error)
        place = ".".join([key, *path] if key else path)
        raise UserError(f"{file}: is damaged ({place}{': ' * bool(place)}{reason}); bring it back") from None


def describe_violation(error: ValidationError) -> tuple[list[str], str]:
    """Return the keys that lead to the first value that does not fit a schema, and the reason with the value."""
    first = error.errors(include_url=False)[0]
    # the names of the branches of a union are not part of the key
    path = [str(part) for part in first["loc"] if not str(part).startswith(("function-", "list[", "constrained-"))]
    value = "" if isinstance(first["input"], dict) else f", got {printable_line(repr(first['input']))[:60]}"
    return path, first["msg"].removeprefix("Value error, ") + value
