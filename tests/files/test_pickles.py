import io
import os
import pickle

import pytest
import torch

from lightseg.files.pickles import refused_class


class Custom:
    """State that is no plain data."""


@pytest.mark.parametrize(("value", "name"), [(print, "print"), (Custom, f"{__name__}.Custom"), (os.system, "system")])
def test_refused_class__is_that_of_the_file(value, name):
    content = io.BytesIO()
    torch.save({"x": value}, content)
    content.seek(0)
    with pytest.raises(pickle.UnpicklingError) as caught:
        torch.load(content, weights_only=True)
    assert refused_class(caught.value).removeprefix(" (posix.").strip(" ()") == name
