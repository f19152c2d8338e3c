"""Data module of annotated images whose classes may overlap: masks with a channel for each class."""

from lightseg.data.annotations.drawing import MultilabelDrawing
from lightseg.data.annotations.format import AnnotationFormat
from lightseg.data.datasets.annotated_masks import AnnotatedMasks
from lightseg.data.palette import default_palette


class MultilabelAnnotatedImages(AnnotatedMasks):
    """Segmentation of images whose objects are annotated by outlines, where classes may overlap.

    Each class has a mask of all of its objects, whatever objects of other classes cover them; pixels without an object
    are of none. An object of `ignore` is void for every class, and a group of objects, by `crowd: ignore`, for its
    own; a pixel that is void for a class stays so under other objects. One class is the binary case.

    Args:
        **kwargs: Options of `AnnotatedMasks`: classes, in the order of the channels, and void objects; of
            `AnnotatedFiles`: annotations and their format; and of `FileDataModule`: reading of images, splits and
            groups.

    Raises:
        ConfigError: If the options contradict each other.
    """

    multilabel = True

    @property
    def palette(self) -> list[tuple[int, int, int]]:
        """Return the default colors, without that of a background."""
        return default_palette(self.num_classes + 1)[1:]

    def _make_drawing(self, format: AnnotationFormat, ids: dict[str, int]) -> MultilabelDrawing:  # noqa: A002
        return MultilabelDrawing(format, ids, self._other_classes, self._crowd, self.num_classes)
