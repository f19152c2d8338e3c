import pytest

from tests.data.datasets.mask_folder_case import Case


@pytest.fixture
def case(tmp_path, fit):
    return Case(tmp_path, fit)
