"""The data of a finished run, made again from its recipe, without the task, whose net may look for weights online."""

import copy
from collections.abc import Mapping, Sequence
from typing import Any

from lightseg.cli import Parser
from lightseg.data import ImageDataModule


def data_of(config: Mapping[str, Any], args: Sequence[str] = ()) -> ImageDataModule:
    """The data module of a resolved config.

    Args:
        config: What `config.yaml` of a run folder holds, or `recipe["config"]` of a loaded task.
        args: Options of a command line that change the data, such as `--data.root OTHER`.

    Raises:
        UserError: If an option is unknown or wrong, or the module cannot be made.
    """
    parser = Parser()
    # as in training, where a class of one's own may leave out its types
    parser.add_subclass_arguments(ImageDataModule, "data", fail_untyped=False)
    # a copy, since the parser turns dicts into its own kind
    stated = parser.parse_object({"data": copy.deepcopy(config["data"])})
    parser.composed = stated
    data: ImageDataModule = parser.build(parser.parse_args(list(args), namespace=stated)).data
    data.seed = config["seed_everything"]
    return data
