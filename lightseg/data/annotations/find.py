"""Recognition of annotation files, and their reading whatever the format."""

from collections.abc import Callable
from pathlib import Path
from typing import Literal

from lightseg.data.annotations.coco import read_coco
from lightseg.data.annotations.cvat import read_cvat
from lightseg.data.annotations.documents import read_yaml
from lightseg.data.annotations.format import Annotations, FormatName
from lightseg.data.annotations.images import ImageIndex
from lightseg.data.annotations.labelme import list_json, read_labelme
from lightseg.data.annotations.yolo import is_yolo, read_yolo
from lightseg.data.io.image_files import describe_folder
from lightseg.errors import DataError

_READERS: dict[FormatName, Callable[[Path, ImageIndex], Annotations]] = {
    "coco": read_coco,
    "yolo": read_yolo,
    "labelme": read_labelme,
    "cvat": read_cvat,
}

_FORMATS: dict[str, FormatName] = {".json": "coco", ".xml": "cvat", ".yaml": "yolo", ".yml": "yolo"}
"""Format of a file by its suffix."""


def read_annotations(path: Path, name: FormatName | Literal["auto"], index: ImageIndex) -> Annotations:
    """Read annotations.

    Args:
        path: A JSON file of COCO, the YAML file of a YOLO data set or its folder, a folder of LabelMe's files, or an
            XML file of CVAT.
        name: Their format; `auto` recognizes it.
        index: The images of the data.

    Raises:
        DataError: If there are none, or they are damaged.
    """
    if not path.exists():
        raise DataError(f"{path}: {describe_folder(path, [])}; set data.annotations to a file or folder of annotations")
    if path.is_dir():
        path = _find_file(path, name)
    elif name == "labelme":
        raise DataError(f"{path}: is a file; set data.annotations to the folder of LabelMe's files")
    if name == "auto":
        name = "labelme" if path.is_dir() else _recognize(path)
    return _READERS[name](path, index)


def _find_file(folder: Path, name: str) -> Path:
    """Return the file of a folder that holds the annotations; the folder itself for LabelMe.

    Raises:
        DataError: If there is none; where a YAML file cannot be read, its error.
    """
    damaged: DataError | None = None
    if name in ("auto", "yolo"):
        for path in (path for suffix in ("*.yaml", "*.yml") for path in sorted(folder.glob(suffix))):
            try:
                if is_yolo(read_yaml(path)):
                    return path
            except DataError as error:
                damaged = damaged or error
    if name in ("auto", "labelme") and next(list_json(folder), None):
        return folder
    if damaged is not None:
        raise damaged
    description = "YAML file of YOLO and no JSON file of LabelMe" if name == "auto" else f"file of {name}"
    raise DataError(
        f"{folder}: holds no {description}; "
        f"{describe_folder(folder, [])}; set data.annotations to a file, such as annotations/instances.json"
    )


def _recognize(path: Path) -> FormatName:
    if path.suffix.lower() not in _FORMATS:
        raise DataError(
            f"{path}: is no JSON, YAML or XML file; set data.annotations to a file of COCO, YOLO or CVAT, or to a "
            "folder of LabelMe's files"
        )
    return _FORMATS[path.suffix.lower()]
