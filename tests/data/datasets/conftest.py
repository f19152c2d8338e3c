"""Fixtures of annotated images."""

import pytest

from lightseg.data import AnnotatedImages
from tests.data.annotations import one_drawing


@pytest.fixture
def annotated(tmp_path):
    """Return a data module of the drawing in COCO's format with some options."""
    options = one_drawing.coco(tmp_path)
    return lambda **changes: AnnotatedImages(root=str(tmp_path), **options, **changes)
