"""Facts about folders, and the settings that follow from them."""

from dataclasses import replace

import numpy as np

from lightseg.data import MaskFolder
from lightseg.scaffold.settings import Machine
from lightseg.scaffold.survey import Survey

CPU, GPU = Machine(False, 16 * 2**30), Machine(True, 24 * 2**30)


def survey(module=MaskFolder, side=(480, 640), counts=(900, 100), image_counts=(100, 100), train=100, **changes):
    """Return the facts about a folder, by default of photos with two classes."""
    classes = [f"class_{index}" for index in range(len(counts))]
    facts = Survey(
        *(module, {"root": "x"}, {}, "", [], classes, {"train": train, "val": 20, "test": 20}),
        *(np.array(counts), np.array(image_counts), np.array([side, side]), 3, True),
    )
    return replace(facts, **changes)


def settings(choices):
    """Return the value of each active option."""
    return {item.key: item.value for part in choices[2:] for item in part if item.is_active}


def reasons(choices):
    """Return the reason of each option."""
    return {item.key: item.reason for part in choices[2:] for item in part}
