"""View of a run folder in TensorBoard: event files in the run folder, with one event for each row.

A row is in the files as a whole or not at all, so that a resumed run goes on behind the newest one.
"""

import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml
from PIL import Image as Picture
from tensorboard.backend.event_processing.event_file_loader import LegacyEventFileLoader
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary, SummaryMetadata
from tensorboard.compat.proto.tensor_pb2 import TensorProto
from tensorboard.compat.proto.tensor_shape_pb2 import TensorShapeProto
from tensorboard.summary.writer.event_file_writer import EventFileWriter

from lightseg.files.atomic import require_in_place
from lightseg.tracking.log_view import config
from lightseg.tracking.picture_view import PictureView
from lightseg.tracking.rows import STEP

_FOLDER, _CONFIG = "tensorboard", "config"


class TensorBoardView(PictureView):
    """Writes the rows of a run as event files into `RUN/tensorboard`.

    Args:
        folder: The run folder.
    """

    def __init__(self, folder: Path) -> None:
        place = folder / _FOLDER
        steps = _newest_steps(place)
        super().__init__(folder, steps.get(STEP, -1))
        self._writer = EventFileWriter(str(place))
        if _CONFIG not in steps:
            self._add(0, [_text(_CONFIG, yaml.safe_dump(config(folder), sort_keys=False))])

    def follow(self) -> None:
        """Write all rows that are complete."""
        super().follow()
        self._writer.flush()

    def end(self, exit_code: int) -> None:  # noqa: ARG002
        """Close the file."""
        self._writer.close()

    def _write(self, step: int, numbers: Mapping[str, float], pictures: Mapping[str, Path]) -> None:
        values = [Summary.Value(tag=name, simple_value=value) for name, value in numbers.items()]
        self._add(step, [*values, *(_picture(name, path) for name, path in pictures.items())])

    def _add(self, step: int, values: list[Any]) -> None:
        self._writer.add_event(Event(wall_time=time.time(), step=step, summary=Summary(value=values)))


def newest_step(folder: Path) -> int:
    """Return the newest step of a run that its event files have; -1 if they have none."""
    return _newest_steps(folder / _FOLDER).get(STEP, -1)


def _newest_steps(place: Path) -> dict[str, int]:
    """Return the newest step of each tag in a folder of event files.

    Raises:
        UserError: If the folder or a file in it is a link.
    """
    require_in_place(place, "remove it")
    return {tag: event.step for event in _events(place) for tag in _tags(event)}


def _events(place: Path) -> Iterator[Any]:
    """Yield the events of a folder; an incomplete one at the end of a file, which a kill left, is left out."""
    for path in sorted(place.glob("events.out.tfevents.*")):
        require_in_place(path, "remove it")
        yield from LegacyEventFileLoader(str(path)).Load()


def _tags(event: Any) -> list[str]:
    return [value.tag for value in event.summary.value]


def _text(tag: str, text: str) -> Any:
    """Return a text that TensorBoard shows as it is: Markdown takes indented lines so."""
    content = "\n".join(f"    {line}" for line in text.splitlines()).encode()
    metadata = SummaryMetadata(plugin_data=SummaryMetadata.PluginData(plugin_name="text"))
    shape = TensorShapeProto(dim=[TensorShapeProto.Dim(size=1)])
    tensor = TensorProto(dtype="DT_STRING", string_val=[content], tensor_shape=shape)
    return Summary.Value(tag=tag, metadata=metadata, tensor=tensor)


def _picture(tag: str, path: Path) -> Any:
    with Picture.open(path, formats=("PNG",)) as picture:
        width, height = picture.size
    image = Summary.Image(height=height, width=width, colorspace=4, encoded_image_string=path.read_bytes())
    return Summary.Value(tag=tag, image=image)
