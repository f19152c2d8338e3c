"""Images that annotations belong to: their entries, and the files that a name in an annotation means."""

import posixpath
import re
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from lightseg.data.io.error_collector import LayoutError, report
from lightseg.data.io.image_files import describe_folder, list_images, normal_name
from lightseg.data.splits import SPLIT_OF, relative_to
from lightseg.data.types import Split
from lightseg.errors import DataError
from lightseg.files.limited import require_limited

_LARGEST = 1 << 28
"""Largest file in bytes that annotates one image; some hold the image, too."""

_ABSOLUTE = re.compile(r"/|[A-Za-z]:/")


class AnnotatedImage(NamedTuple):
    """Image with its annotation.

    Attributes:
        image: Path of the image, relative to the root.
        place: File and image, for messages.
        file: Path of the file that annotates this image alone, relative to the root; empty without one.
        content: Annotation of the image, cut out of a file that annotates many; empty without one.
        split: Its split, if the annotations define it.
        is_annotated: Whether there is an annotation, which may hold no object.
    """

    image: str
    place: str
    file: str = ""
    content: bytes = b""
    split: Split | None = None
    is_annotated: bool = True

    @property
    def name(self) -> str:
        """Return the path of the image, in Unicode's normal form C."""
        return normal_name(self.image)


class ImageIndex:
    """Images below a folder, by the ends of their paths.

    Args:
        root: Folder of the data, which all paths are relative to.
        folder: Folder of the images below it.

    Raises:
        DataError: If the folder is missing or holds no image.
    """

    def __init__(self, root: Path, folder: str = ".") -> None:
        self.root, self.folder = root, relative_to(root, folder)
        base = root / folder
        if not base.is_dir():
            raise DataError(f"{base}: {describe_folder(base, [])}; set data.root or data.images")
        prefix = "" if self.folder == "." else f"{self.folder}/"
        self.images = [prefix + path for path in list_images(base)]
        if not self.images:
            raise DataError(f"{base}: no file here is an image; {describe_folder(base, [])}; set data.images")
        self._by_name: dict[str, list[str]] = {}
        self._by_stem: dict[str, list[str]] = {}
        for path in self.images:
            name = normal_name(path.rpartition("/")[2])
            self._by_name.setdefault(name, []).append(path)
            self._by_stem.setdefault(name.rpartition(".")[0], []).append(path)

    def find(self, name: str, place: str, near: str = ".") -> str | None:
        """Return the image that a name means; None after reporting that there is none, or several.

        A path is looked up from `near`, from the folder of the images and from the root, and else is the end of the
        path of one image. Of a path of another machine, the longest end counts that an image has.

        Args:
            name: Name or path of an image.
            place: File and object, for messages.
            near: Folder of the annotation, relative to the root.
        """
        path = normal_name(relative_to(self.root, name))
        if path.startswith("../"):
            path = posixpath.normpath(posixpath.join(near, path))
            if path.startswith("../"):
                report(
                    LayoutError(
                        "path outside",
                        f"{place}: {name} leads out of {self.root}; correct it, or set data.root to a folder above",
                        [],
                    )
                )
                return None
        matches = self._matches(path)
        exact = [posixpath.normpath(posixpath.join(base, path)) for base in (near, self.folder, ".")]
        image = next((match for candidate in exact for match in matches if normal_name(match) == candidate), None)
        if image is not None or len(matches) == 1:
            return image or matches[0]
        if matches:
            message = (
                f"{place}: {name} may be {matches[0]} or {matches[1]}; write its path below {self.root}, or set "
                "data.images to the folder of the right ones"
            )
            report(LayoutError("ambiguous name", message, matches))
        else:
            message = f"{place}: there is no image {name} in {self.root / self.folder}; add it, or set data.images"
            report(LayoutError("annotation without image", message, []))
        return None

    def find_partner(self, file: str) -> list[str]:
        """Return the images with the name of another file, whatever their extensions: those beside it, or else all.

        Args:
            file: Path of the file, relative to the root.
        """
        folder, _, name = file.rpartition("/")
        matches = self._by_stem.get(normal_name(PurePosixPath(name).stem), [])
        beside = [match for match in matches if match.rpartition("/")[0] == folder]
        return beside or matches

    def _matches(self, path: str) -> list[str]:
        """Return the images whose path ends in a path; of an absolute path, in the longest end that an image has."""
        parts = path.split("/")
        candidates = self._by_name.get(parts[-1], [])
        for start in range(len(parts) if _ABSOLUTE.match(path) else 1):
            end = "/".join(parts[start:])
            matches = [match for match in candidates if f"/{normal_name(match)}".endswith(f"/{end}")]
            if matches:
                return matches
        return []


def read_content(path: Path) -> bytes:
    """Read a file that annotates one image.

    Raises:
        DataError: If it cannot be read, or is larger than any such file.
    """
    require_limited(path, _LARGEST)
    try:
        return path.read_bytes()
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from None


def require_unique(images: Sequence[AnnotatedImage]) -> list[AnnotatedImage]:
    """Return the images without those that a second entry annotates once more, which are reported."""
    first_of: dict[tuple[str, Split | None], AnnotatedImage] = {}
    for image in images:
        first = first_of.setdefault((image.image, image.split), image)
        if first is not image:
            message = f"{image.place}: {image.image} has another annotation, {first.place}; remove one of them"
            if image.place == first.place:
                message = f"{image.place}: {image.image} is listed twice; remove one entry"
            report(LayoutError("duplicate annotation", message, [image.image]))
    return list(first_of.values())


def with_folder_splits(images: Sequence[AnnotatedImage]) -> Sequence[AnnotatedImage]:
    """Return images with the splits that the first two folders of their paths name, if `train` is among these."""
    folders = (image.image.split("/")[:-1][:2] for image in images)
    splits = [next((SPLIT_OF[name] for name in names if name in SPLIT_OF), None) for names in folders]
    if "train" not in splits:
        return images
    return [image._replace(split=split) for image, split in zip(images, splits, strict=True)]
