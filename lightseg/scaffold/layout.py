"""Recognition of a folder's layout: the data module that reads it, and its options."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lightseg.data import (
    AnnotatedImages,
    AnnotatedImagesClassification,
    ImageFolder,
    ImageTable,
    MaskFolder,
    MultilabelAnnotatedImagesClassification,
    MultilabelMaskFolder,
)
from lightseg.data.datasets.file_data_module import FileDataModule
from lightseg.errors import DataError
from lightseg.scaffold.annotation_layout import find_annotations, require_readable
from lightseg.scaffold.class_mask_layout import find_class_channels, find_class_masks
from lightseg.scaffold.listing import Listing
from lightseg.scaffold.mask_layout import find_mask_options, find_pair_lists, is_image_name
from lightseg.scaffold.table_layout import find_table

Options = Mapping[str, Any]
"""Options of a data module by name."""


@dataclass(frozen=True)
class Layout:
    """Data module that reads a folder.

    Attributes:
        module: Class of the data module.
        options: Its options.
        content: Description of the layout, half a line.
        splits: Description of what defines the splits; empty if they are random.
        reasons: Comments on options.
    """

    module: type[FileDataModule]
    options: dict[str, Any]
    content: str
    splits: str
    reasons: dict[str, str] = field(default_factory=dict)


def find_layout(listing: Listing, answers: Options) -> Layout:
    """Return the layout of a folder: images and masks, annotations, a table, or a folder for each class.

    Args:
        listing: Files below the folder.
        answers: Options of the data that the user states.

    Raises:
        DataError: If no layout fits, or several do; the message asks for the one thing that is missing.
    """
    if not listing.num_images:
        raise DataError(f"{listing.root}: no file is an image; {listing.describe()}; name the folder of the images")
    inner = listing.descend()
    if "annotations" not in answers and (masks := _find_masks(listing, inner, answers)) is not None:
        return masks
    if (annotations := find_annotations(listing, answers)) is not None:
        labels = (
            MultilabelAnnotatedImagesClassification if annotations.has_several_labels else AnnotatedImagesClassification
        )
        module = AnnotatedImages if annotations.has_objects else labels
        return Layout(module, annotations.options, annotations.content, annotations.splits, annotations.reasons)
    if (table := find_table(listing, answers)) is not None:
        splits = f"column {table.split_column}" if table.split_column else ""
        content = f"paths and classes in {Path(table.options['table']).name}"
        return Layout(ImageTable, table.options, content, splits, table.reasons)
    if options := _class_folders(inner):
        return Layout(ImageFolder, options, "a folder for each class", _splits(inner, options))
    require_readable(listing)
    raise DataError(
        f"{listing.root}: {listing.num_images} images and nothing that labels them, neither masks nor annotations "
        "nor folders of classes nor a table; name the folder of the masks: --data.masks NAME"
    )


def _find_masks(listing: Listing, inner: Listing, answers: Options) -> Layout | None:
    """Return the layout of images and masks; None for any other.

    Args:
        listing: Files below the folder.
        inner: Those below the folder in it that holds all images.
        answers: Options of the data that the user states.

    Raises:
        DataError: If several layouts fit.
    """
    for place in (listing, inner):
        if not {"images", "masks"} & answers.keys() and (lists := find_pair_lists(place)):
            names = ", ".join(lists.values())
            return Layout(MaskFolder, {"root": str(place.root), "splits": lists}, f"images and masks in {names}", names)
    options = {"root": str(inner.root)}
    classes = find_class_masks(inner, answers)
    if classes is None:
        mask_options = find_mask_options(inner, answers)
        if mask_options is None:
            return None
        classes = find_class_channels(inner, mask_options)
        options |= mask_options
    if classes is not None:
        options = {"root": str(inner.root), **classes.options}
        return Layout(MultilabelMaskFolder, options, classes.content, _splits(inner, options), classes.reasons)
    content = f"images in {_folder(options, 'images')}, masks in {_folder(options, 'masks')}"
    return Layout(MaskFolder, options, content, _splits(inner, options))


def _class_folders(listing: Listing) -> dict[str, Any]:
    """Return the options of an `ImageFolder`; empty if there are fewer than two folders of classes."""
    groups = {name: places for name, places in listing.groups().items() if name != "." and not is_image_name(name)}
    if len(groups) < 2:
        return {}
    is_nested = any(place.inside for places in groups.values() for place in places)
    return {"root": str(listing.root), **({"nested": "merge"} if is_nested else {})}


def _splits(listing: Listing, options: Options) -> str:
    """Return what defines the splits; empty if they are random."""
    if "splits" in options:
        return ", ".join(options["splits"].values())
    return f"folders {', '.join(listing.splits)}" if "train" in listing.splits else ""


def _folder(options: Options, kind: str) -> str:
    """Return the folder of the images or masks, with the end of their names."""
    name, suffix = options.get(kind, kind), options.get(f"{kind[:-1]}_suffix", "")
    return f"{'the folder itself' if name == '.' else f'{name}/'}{f' (*{suffix})' if suffix else ''}"
