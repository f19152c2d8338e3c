"""Images that a command line names: files, folders, patterns, the pages of a TIFF."""

import glob
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import tifffile

from lightseg.errors import UserError
from lightseg.files.names import IMAGE_SUFFIXES
from lightseg.files.walk import matches, walk

_REDUCED_OR_MASK = 0b101


@dataclass(frozen=True)
class Item:
    """Image to predict.

    Attributes:
        file: The file that it is in.
        page: Which page of a TIFF it is, from 0 on; None: the file is one image.
        name: What its results are called: the path below what was named, without suffix, with the page's number.
    """

    file: Path
    page: int | None
    name: str

    @property
    def label(self) -> str:
        """Return how messages and tables call it."""
        return str(self.file) if self.page is None else f"{self.file} page {self.page + 1}"


def find_files(inputs: Sequence[str], out: Path) -> dict[Path, Path]:
    """Return the image files that are meant, in order, each with its path below what was named.

    Args:
        inputs: Files, folders, which are searched with all that is in them, and patterns such as `data/**/*.jpg`.
        out: Where results go; what is in there is no input.

    Raises:
        UserError: If one of the inputs is nothing, or two files have one name and one folder.
    """
    files: dict[Path, Path] = {}
    results = out.resolve()
    for pattern in inputs:
        named = dict(_files_of(pattern))
        found = {file: name for file, name in named.items() if results not in file.resolve().parents}
        if not found:
            inside = f"is in --out {out}, where results go; give another --out"
            raise UserError(f"{pattern}: {inside if named else _why_nothing(pattern)}")
        files |= found
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


def items_of(files: dict[Path, Path], channels: int) -> list[Item]:
    """Return the images of all files.

    Args:
        files: What `find_files` found.
        channels: How many the net takes.

    Raises:
        UserError: If the results of two images would have one name.
    """
    items: dict[str, Item] = {}
    for file, below in files.items():
        stem = below.with_suffix("").as_posix()
        for page in _pages(file, channels):
            item = Item(file, page, stem if page is None else f"{stem}_p{page + 1:04d}")
            # on some file systems, names that differ by upper and lower case are one
            twin = items.setdefault(item.name.lower(), item)
            if twin is not item and twin.file.resolve() != file.resolve():
                raise UserError(
                    f"{twin.label} and {item.label} would both be written to {item.name}.png; "
                    "predict them one after the other, each with an --out of its own"
                )
    return list(items.values())


def _files_of(pattern: str) -> Iterator[tuple[Path, Path]]:
    path = Path(pattern)
    if path.is_file():
        yield path, Path(path.name)
    elif path.is_dir():
        yield from ((file, file.relative_to(path)) for file in sorted(_files_below(path)) if _is_image(file, path))
    elif glob.has_magic(pattern):
        # the part of the path in front of the first part with a pattern
        parts = path.parts
        fixed = Path(*parts[: next(index for index, part in enumerate(parts) if glob.has_magic(part))])
        files = sorted(set(map(Path, matches(pattern))))
        yield from ((file, file.relative_to(fixed)) for file in files if _is_image(file, fixed))


def _files_below(folder: Path) -> Iterator[Path]:
    for inside, names in walk(str(folder)):
        yield from (folder / inside / name for name in names)


def _is_image(file: Path, above: Path) -> bool:
    is_hidden = any(part.startswith(".") for part in file.relative_to(above).parts)
    return file.is_file() and file.suffix.lower() in IMAGE_SUFFIXES and not is_hidden


def _why_nothing(pattern: str) -> str:
    suffixes = ", ".join(sorted(IMAGE_SUFFIXES))
    if Path(pattern).is_dir():
        return f"there is no image in this folder; it is searched for {suffixes}"
    return f"no image fits this pattern ({suffixes})" if glob.has_magic(pattern) else "there is no such file or folder"


def _pages(file: Path, channels: int) -> list[int] | list[None]:
    """Return the pages of a TIFF that are images of their own; where there is one image, nothing but None."""
    if file.suffix.lower() not in (".tif", ".tiff"):
        return [None]
    try:
        with tifffile.TiffFile(file) as tiff:
            pages = [page.aspage() for page in tiff.pages]
            page_numbers = [number for number, page in enumerate(pages) if not page.subfiletype & _REDUCED_OR_MASK]
            # as many pages of one band as the net has channels are the bands of one image, as they are in training
            bands = len(page_numbers) == channels and tiff.series[0].shape == (channels, *pages[0].shape)
            return [None] if len(page_numbers) < 2 or (bands and pages[0].samplesperpixel == 1) else page_numbers
    except Exception:  # what is wrong with the file is said when it is read
        return [None]
