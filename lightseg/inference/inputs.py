"""Images that a command line names: files, folders, patterns, the pages of a TIFF."""

from __future__ import annotations

import glob
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import tifffile

from lightseg.errors import UserError
from lightseg.files.names import IMAGE_SUFFIXES
from lightseg.files.walk import matches, walk

if TYPE_CHECKING:
    from lightseg.data.types import Kind

_REDUCED_OR_MASK = 0b101


@dataclass(frozen=True)
class Item:
    """Image to predict.

    Attributes:
        file: The file that holds it.
        page: Index of its page in a TIFF, from 0 on; None: the file is one image.
        name: Name of its results: the path below the input, without suffix, or of a classification the path of the
            file; with the number of the page.
    """

    file: Path
    page: int | None
    name: str

    @property
    def label(self) -> str:
        """Return its name in messages and tables."""
        return str(self.file) if self.page is None else f"{self.file} page {self.page + 1}"


def find_files(inputs: Sequence[str], out: Path) -> dict[Path, Path]:
    """Return the image files of the inputs, in order, each with its path below the input.

    Args:
        inputs: Files, folders, which are searched with all their subfolders, and patterns such as `data/**/*.jpg`.
        out: Folder of the results; files in it are no inputs.

    Raises:
        UserError: If one of the inputs has no image.
    """
    files: dict[Path, Path] = {}
    results = out.resolve()
    for path in inputs:
        candidates = dict(_image_files(path))
        images = {file: name for file, name in candidates.items() if results not in file.resolve().parents}
        if not images:
            inside = f"is in --out {out}, where results go; give another --out"
            raise UserError(f"{path}: {inside if candidates else _explain_no_images(path)}")
        files |= images
    return files


def skipped_files(inputs: Sequence[str], out: Path) -> str:
    """Count the files in the folders that are no images by their suffix, such as `.heic (3)`; those in `out` apart."""
    suffixes: Counter[str] = Counter()
    results = out.resolve()
    for folder in map(Path, inputs):
        for file in _files_below(folder) if folder.is_dir() else ():
            if file.is_file() and not _is_image(file, folder) and results not in file.resolve().parents:
                suffixes[file.suffix.lower() or file.name] += 1
    return ", ".join(f"{suffix!r} ({number})" for suffix, number in suffixes.most_common(8))


def items_of(files: dict[Path, Path], channels: int, kind: Kind) -> list[Item]:
    """Return the images of all files.

    Args:
        files: Result of `find_files`.
        channels: Number of channels of a file; 0: unknown, since only some bands of it are read.
        kind: Kind of the task; the labels of a classification are in one table, so that images may have one name.

    Raises:
        UserError: If the results of two images would have one name.
    """
    items: dict[str, Item] = {}
    has_files = kind == "segmentation"
    for file, relative in files.items():
        stem = relative.with_suffix("").as_posix() if has_files else str(file.resolve())
        for page in _pages(file, channels):
            item = Item(file, page, stem if page is None else f"{stem}_p{page + 1:04d}")
            # some file systems do not distinguish upper and lower case
            first = items.setdefault(item.name.lower() if has_files else item.name, item)
            if first is not item and first.file.resolve() != file.resolve():
                raise UserError(
                    f"the results of {first.label} and {item.label} would both be named {item.name}; "
                    "predict them one after the other, each with an --out of its own"
                )
    return list(items.values())


def _image_files(path: str) -> Iterator[tuple[Path, Path]]:
    """Yield the image files of an input, each with its path below the input."""
    root = Path(path)
    if root.is_file():
        yield root, Path(root.name)
    elif root.is_dir():
        yield from ((file, file.relative_to(root)) for file in sorted(_files_below(root)) if _is_image(file, root))
    elif glob.has_magic(path):
        # the components of the path in front of the first with a pattern
        parts = root.parts
        fixed = Path(*parts[: next(index for index, part in enumerate(parts) if glob.has_magic(part))])
        files = sorted(set(map(Path, matches(path))))
        yield from ((file, file.relative_to(fixed)) for file in files if _is_image(file, fixed))


def _files_below(folder: Path) -> Iterator[Path]:
    for subfolder, names in walk(str(folder)):
        yield from (folder / subfolder / name for name in names)


def _is_image(file: Path, root: Path) -> bool:
    is_hidden = any(part.startswith(".") for part in file.relative_to(root).parts)
    return file.is_file() and file.suffix.lower() in IMAGE_SUFFIXES and not is_hidden


def _explain_no_images(path: str) -> str:
    suffixes = ", ".join(sorted(IMAGE_SUFFIXES))
    if Path(path).is_dir():
        return f"there is no image in this folder; it is searched for {suffixes}"
    return f"no image fits this pattern ({suffixes})" if glob.has_magic(path) else "there is no such file or folder"


def _pages(file: Path, channels: int) -> list[int] | list[None]:
    """Return the pages of a TIFF that are images of their own; `[None]` for a file of one image."""
    if file.suffix.lower() not in (".tif", ".tiff"):
        return [None]
    try:
        with tifffile.TiffFile(file) as tiff:
            pages = [page.aspage() for page in tiff.pages]
            images = [number for number, page in enumerate(pages) if not page.subfiletype & _REDUCED_OR_MASK]
            # as many pages of one band as a file has channels are the bands of one image, as in training
            are_bands = (
                len(images) == (channels or len(images))
                and tiff.series[0].shape == (len(images), *pages[0].shape)
                and pages[0].samplesperpixel == 1
            )
            return [None] if len(images) < 2 or are_bands else images
    except Exception:  # reading the image reports the problem
        return [None]
