"""What a launcher has written: its words as a shell sees them, and its file against the schema."""

import json
import subprocess

import yaml

from tests.conftest import ROOT
from tests.helpers.json_schema import violations

ODD = ["--group", 'it\'s "quoted" $HOME `id` $(id) $$(id) $$ \\ *', "--model.net.norm=a b"]
"""Arguments that a shell would change."""

PRINT_WORDS = """#!/bin/sh
printf '%s\\0' "$@"
"""


def words_of(text):
    """The words of the command of a run that a script or a shell command starts by programs of PRINT_WORDS."""
    done = subprocess.run(["bash", "-e", "-u"], input=text, capture_output=True, text=True, check=True)
    return done.stdout.split("\0")[:-1]


def fit_arguments(words):
    return words[words.index("lightseg.fit") + 1 :]


def validate(text, name):
    content = yaml.safe_load(text)
    schema = json.loads((ROOT / f"tests/launch/schemas/{name}.json").read_text())
    assert violations(content, schema) == []
    assert violations({**content, "unknown": 1}, schema) == ["$: unknown is unknown"]
    return content


def torchrun_options(words):
    """The options of torchrun, before the module."""
    words = words[: words.index("-m")]
    return dict(zip(words[::2], words[1::2], strict=True))
