"""The data of a finished run, made again from its recipe, without the task, whose net may look for weights online."""

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
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
    stated = parser.parse_object({"data": config["data"]})
    parser.composed = stated
    data: ImageDataModule = parser.build(parser.parse_args(list(args), namespace=stated)).data
    data.seed = config["seed_everything"]
    return data


def follow_imports(folder: Path) -> None:
    """Find classes of one's own where they were when a run was made, as `env.json` of its folder says."""
    file = folder / "env.json"
    if file.is_file():
        known = json.loads(file.read_text()).get("import_path", [])
        sys.path += [path for path in known if path not in sys.path]
