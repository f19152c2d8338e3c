"""What a case is."""

from dataclasses import dataclass, field


@dataclass
class Case:
    """A call of a verb.

    Args:
        verb: The verb; empty for `lightseg.load` of one file.
        arguments: Its command line.
        environment: Variables beside those of this process.
    """

    verb: str
    arguments: list[str]
    environment: dict[str, str] = field(default_factory=dict)
