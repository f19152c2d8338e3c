import numpy as np
import pytest

from lightseg.data.datasets.oxford_pet import OxfordPet
from lightseg.errors import DataError
from lightseg.labels import IGNORE
from tests.data import fabricate


@pytest.mark.parametrize(
    ("border", "classes", "ids"),
    [
        ("class", ["pet", "background", "border"], {1: 0, 2: 1, 3: 2}),
        ("pet", ["pet", "background"], {1: 0, 2: 1, 3: 0}),
        ("ignore", ["pet", "background"], {1: 0, 2: 1, 3: IGNORE}),
    ],
)
def test_oxford_pet__border(tmp_path, border, classes, ids):
    module = OxfordPet(str(fabricate.oxford_pet(tmp_path)), border=border)
    assert module.classes == classes
    _, mask = module.dataset("test")[2]
    raw = fabricate.ids(2, 12, 14, values=(1, 2, 3))
    assert all(np.all(mask[raw == value] == train_id) for value, train_id in ids.items())


def test_oxford_pet__official_lists(tmp_path):
    module = OxfordPet(str(fabricate.oxford_pet(tmp_path)), val_fraction=0.3)
    assert [len(module.dataset(split)) for split in ("train", "val", "test")] == [7, 3, 4]
    assert module.dataset("test").name(0) == "images/test_pug_0.jpg"


def test_oxford_pet__missing_data_says_what_to_do(tmp_path):
    with pytest.raises(DataError, match=r"images, .* not found; the folder does not exist\nset data.download: true"):
        OxfordPet(str(tmp_path)).check()


def test_oxford_pet__failed_download_says_what_to_do(tmp_path, monkeypatch):
    def offline(*_args, **_kwargs):
        raise OSError("Network is unreachable")

    monkeypatch.setattr("torchvision.datasets.OxfordIIITPet", offline)
    module = OxfordPet(str(tmp_path), download=True)
    with pytest.raises(DataError, match=r"the download failed \(Network is unreachable\)\n.*unpack images.tar.gz"):
        module.prepare_data()


def test_oxford_pet__no_download_where_the_data_is(tmp_path, monkeypatch):
    monkeypatch.setattr("torchvision.datasets.OxfordIIITPet", None)
    OxfordPet(str(fabricate.oxford_pet(tmp_path)), download=True).prepare_data()


def test_oxford_pet__a_broken_download_is_resumed(tmp_path, monkeypatch):
    downloads = []
    monkeypatch.setattr("torchvision.datasets.OxfordIIITPet", lambda *_, **options: downloads.append(options))
    (tmp_path / "oxford-iiit-pet/images").mkdir(parents=True)
    OxfordPet(str(tmp_path), download=True).prepare_data()
    assert downloads == [{"download": True}]
