"""What people and programs write by mistake or on purpose, and ways to put it into nested plain data."""

import copy
import math
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

CODE = [
    {"class_path": "os.system", "init_args": {"command": "touch PWNED"}},
    {"class_path": "builtins.eval", "init_args": {"source": "open('PWNED', 'w')"}},
    {"class_path": "planted.Net"},
    {"class_path": "subprocess.run", "init_args": {"args": ["touch", "PWNED"]}},
]
"""Things that a file of somebody else must never get to run."""

NUMBERS = [0, -1, 1, 2, 7, 0.5, -0.5, 1.5, 1e-45, 1e30, -1e30, math.nan, math.inf, -math.inf, 10**12, -(10**12)]

THINGS: list[Any] = [
    *(
        None,
        True,
        False,
        "",
        " ",
        "x",
        "null",
        "0",
        "-1",
        "1e3",
        "nan",
        "auto",
        "true",
        "../x",
        "~",
        "/",
        "\x1b[2J",
        "é" * 9,
    ),
    *([], {}, [1], ["x"], [None], [[]], {"x": 1}, {"": None}, {1: 2}, {"class_path": 5}, {"class_path": ""}),
    *({"class_path": "no.Such"}, {"class_path": "torch.nn.Linear"}, {"init_args": {}}, {"class_path": "UNet", "x": 1}),
]


def deep(levels: int) -> list[Any]:
    """A list in a list in a list."""
    nested: list[Any] = []
    for _ in range(levels):
        nested = [nested]
    return nested


def odd(random: Random) -> Any:
    """Something that fits nowhere, or nearly."""
    kind = random.random()
    if kind < 0.45:
        return random.choice(NUMBERS)
    return copy.deepcopy(random.choice(THINGS))


def places(content: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The path of everything within nested dicts and lists."""
    items = content.items() if isinstance(content, dict) else enumerate(content) if isinstance(content, list) else ()
    for key, value in items:
        yield (*path, key)
        yield from places(value, (*path, key))


def at(content: Any, path: tuple[Any, ...]) -> Any:
    """What lies at a path."""
    for key in path:
        content = content[key]
    return content


def put(content: Any, path: tuple[Any, ...], value: Any) -> None:
    """Put something at a path that is there."""
    at(content, path[:-1])[path[-1]] = value


def misspell(word: str, random: Random) -> str:
    """A word with a letter too many, too few, or two that have changed places."""
    if len(word) < 2:
        return f"{word}x"
    place = random.randrange(len(word) - 1)
    ways = (word[:place] + word[place + 1 :], word[:place] + word[place] + word[place:])
    return random.choice([*ways, word[:place] + word[place + 1] + word[place] + word[place + 2 :]])


def damage(content: bytes, random: Random) -> bytes:
    """A file after a crash, a bad disk, or a visit of something else."""
    way = random.randrange(6)
    if way == 0:
        return b""
    if way == 1:
        return content[: random.randrange(len(content) + 1)]
    if way == 2:
        flipped = bytearray(content)
        for _ in range(random.choice([1, 1, 8, 64])):
            if flipped:
                flipped[random.randrange(len(flipped))] ^= 1 << random.randrange(8)
        return bytes(flipped)
    if way == 3:
        return random.randbytes(random.choice([1, 100, 5000]))
    if way == 4:
        return content + random.choice([b"\0" * 1000, content, b"\n<html>", b"\xff\xfe"])
    place = random.randrange(len(content) + 1)
    return content[:place] + bytes(random.choice([16, 512])) + content[place + 512 :]


def take_away(file: Path, *, leave_folder: bool) -> None:
    """Remove a file, and leave nothing or a folder in its place."""
    file.unlink()
    if leave_folder:
        file.mkdir()
