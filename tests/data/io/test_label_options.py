"""Options of a label map that contradict each other."""

import pytest

from lightseg.data.io.label_map import LabelMap
from lightseg.errors import ConfigError

TWO = ["background", "road"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"values": {0: "background", 1: "raod"}}, "data.values: 'raod' is not among the classes; did you mean road"),
        ({"colors": {"sky": [1, 2, 3]}}, "data.colors: 'sky' is not among the classes; there are background, road"),
        ({"values": {0: "background"}}, "data.values: nothing is declared for road"),
        ({"colors": {"road": [1, 2, 3]}}, "data.colors: nothing is declared for background"),
        ({"colors": {"road": [1, 2]}}, r"data.colors: \[1, 2\] is not an RGB color|data.colors: 1 is not"),
        ({"ignore": [1]}, "data.ignore: 1 is also the class with id 1"),
        ({"values": {0: "background", 1 << 64: "road"}}, "at most 64 bits"),
    ],
)
def test_label_map__contradictions(options, message):
    with pytest.raises(ConfigError, match=message):
        LabelMap(TWO, **options)


@pytest.mark.parametrize(
    ("classes", "message"),
    [
        (["road", "road"], "road is listed twice"),
        (["road"], "at least two are needed; name the background too"),
        ([str(i) for i in range(256)], "256 are too many; 255 fit"),
    ],
)
def test_label_map__impossible_classes(classes, message):
    with pytest.raises(ConfigError, match=message):
        LabelMap(classes)
