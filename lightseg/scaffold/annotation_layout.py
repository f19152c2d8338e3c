"""Recognition of annotations: their format, the files that belong together, and what they annotate."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lightseg.data.annotations.coco import is_coco
from lightseg.data.annotations.cvat import is_cvat
from lightseg.data.annotations.documents import read_json, read_yaml
from lightseg.data.annotations.find import read_annotations
from lightseg.data.annotations.format import FormatName
from lightseg.data.annotations.images import ImageIndex, read_content
from lightseg.data.annotations.labelme import is_labelme
from lightseg.data.annotations.yolo import is_yolo
from lightseg.data.splits import SPLIT_OF
from lightseg.data.types import SPLITS
from lightseg.errors import DataError
from lightseg.files.evenly_spaced import spread
from lightseg.scaffold.listing import Listing, list_folder

_MOST_DOCUMENTS = 50
"""Files that are looked into; a folder of LabelMe's is recognized by its first one."""

_PROBED = 100
"""Images whose annotation is read."""

_SPLIT = re.compile(rf"(?<![a-z])({'|'.join(sorted(SPLIT_OF, key=len, reverse=True))})(?![a-z])")
"""Name of a split in a path in lower case."""

_TITLES: dict[FormatName, str] = {"coco": "COCO", "yolo": "YOLO", "labelme": "LabelMe", "cvat": "CVAT"}


@dataclass(frozen=True)
class AnnotationLayout:
    """Annotations of a folder.

    Attributes:
        options: Options of the data module.
        reasons: Comments on them.
        content: Description of the annotations.
        splits: Description of what defines the splits; empty if they are random.
        has_objects: Whether objects are annotated, and not images as a whole.
        has_several_labels: Whether an image as a whole has several classes.
    """

    options: dict[str, Any]
    reasons: dict[str, str]
    content: str
    splits: str
    has_objects: bool
    has_several_labels: bool


def find_annotations(listing: Listing, answers: Mapping[str, Any]) -> AnnotationLayout | None:
    """Return the annotations of a folder; None without any.

    Args:
        listing: Files below the folder.
        answers: Options of the data that the user states.

    Raises:
        DataError: If several files may be meant, or one is damaged.
    """
    annotations = answers.get("annotations")
    groups = [annotations] if annotations else _group_files(listing)
    if not groups:
        return None
    if len(groups) > 1:
        names = [_first_file(group) for group in groups]
        raise DataError(
            f"{listing.root}: {' and '.join(names[:3])} each annotate images; name one: --data.annotations {names[0]}"
        )
    root = Path(answers.get("root", listing.root))
    part = read_annotations(root / _first_file(groups[0]), answers.get("format", "auto"), ImageIndex(root))
    images = [image for image in part.images if image.is_annotated]
    probed_images = [images[index] for index in spread(_PROBED, len(images))]
    records = [
        part.format.parse(read_content(root / image.file) if image.file else image.content, image.place)
        for image in probed_images
    ]
    options: dict[str, Any] = {"root": str(root), "annotations": groups[0]}
    reasons = {}
    has_objects = any(record.objects for record in records) or not any(record.labels for record in records)
    if has_objects and part.format.name in ("coco", "yolo"):
        options["overlap"] = "area"
        reasons["overlap"] = "the format has no order of depth: of objects that overlap, the smaller one is above"
    splits = f"{len(groups[0])} files" if isinstance(groups[0], dict) else ""
    if any(image.split for image in part.images):
        splits = "the annotations"
    kind = "outlines" if has_objects else "labels"
    has_several_labels = not has_objects and any(len(set(record.labels)) > 1 for record in records)
    content = f"{kind} of {_TITLES[part.format.name]}"
    return AnnotationLayout(options, reasons, content, splits, has_objects, has_several_labels)


def locate_file(file: Path) -> tuple[Path, dict[str, Any]]:
    """Return the folder of the data that a file annotates, and the option that names it and those of other splits.

    Raises:
        DataError: If there is no image near it.
    """
    outer = file.resolve().parent.parent
    if not file.is_absolute() and outer.is_relative_to(Path.cwd()):
        outer = outer.relative_to(Path.cwd())
    folders = [file.parent, outer]
    if file.parent.name.lower() in SPLIT_OF:
        folders.reverse()
    for folder in folders:
        listing = list_folder(folder)
        if listing.num_images:
            name = file.resolve().relative_to(folder.resolve()).as_posix()
            files = [path for path in listing.documents if _pattern(path) == _pattern(name)]
            return folder, {"annotations": _by_split([name, *(path for path in files if path != name)])}
    raise DataError(f"{file}: no image is beside it; give the folder of the data, and --data.annotations FILE")


def require_readable(listing: Listing) -> None:
    """Check that the files that may be annotations can be read, for a folder in which nothing else labels the images.

    Raises:
        DataError: If one is damaged.
    """
    for path in listing.documents[:_MOST_DOCUMENTS]:
        try:
            _recognize(listing.root / path)
        except DataError as error:
            raise DataError(f"{error}; nothing else labels the images of {listing.root}") from None


def _group_files(listing: Listing) -> list[str | dict[str, str]]:
    """Return the files of annotations, those that differ in the name of a split alone as one by split."""
    groups: dict[tuple[FormatName, str], list[str]] = {}
    for path in listing.documents[:_MOST_DOCUMENTS]:
        try:
            name = _recognize(listing.root / path)
        except DataError:
            continue
        if name == "labelme":
            return ["."]
        if name is not None:
            groups.setdefault((name, path if name == "yolo" else _pattern(path)), []).append(path)
    # COCO has files of captions and key points beside those of outlines
    outlines = [(name, path) for name, path in groups if name == "coco" and Path(path).name.startswith("instances")]
    keys = outlines if len(outlines) == 1 and all(name == "coco" for name, _ in groups) else list(groups)
    return [_by_split(groups[key]) for key in keys]


def _recognize(path: Path) -> FormatName | None:
    """Return the format of a file; None if it is no annotation."""
    match path.suffix.lower():
        case ".json":
            content = read_json(path)
            if is_labelme(content):
                return "labelme"
            return "coco" if is_coco(content) and content.get("annotations") else None
        case ".xml":
            return "cvat" if is_cvat(path) else None
        case _:
            return "yolo" if is_yolo(read_yaml(path)) else None


def _pattern(path: str) -> str:
    """Return a path with an asterisk for each name of a split."""
    return _SPLIT.sub("*", path.lower())


def _by_split(paths: Sequence[str]) -> str | dict[str, str]:
    """Return files by split, if one is of `train` and each is of another split; else the first one."""
    splits = {SPLIT_OF[match[1]]: path for path in paths if (match := _SPLIT.search(path.lower()))}
    if len(paths) > 1 and len(splits) == len(paths) and "train" in splits:
        return {split: splits[split] for split in SPLITS if split in splits}
    return paths[0]


def _first_file(group: str | Mapping[str, str]) -> str:
    return group if isinstance(group, str) else group["train"]
