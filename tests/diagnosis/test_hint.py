import pytest

from lightseg.data.datasets.mask_dataset import SizeError
from lightseg.diagnosis.hint import add_doctor_hint
from lightseg.errors import DataError


@pytest.mark.parametrize(
    ("args", "command"),
    [
        (["--config", "a.yaml", "--data.root", "my data", "--name", "x"], "a.yaml --data.root 'my data'"),
        (["-c", "a.yaml", "--config=b.yaml", "--data.root=d"], "a.yaml b.yaml --data.root=d"),
    ],
)
def test_add_doctor_hint__has_the_recipes_and_options_of_the_data(args, command):
    error = SizeError("masks/3.png: is too small; export it again")
    add_doctor_hint(error, args)
    message, hint = str(error).splitlines()
    assert message == "masks/3.png: is too small; export it again"
    assert hint == f"this is the first problem of the data; `python -m lightseg.doctor {command}` lists all"


def test_add_doctor_hint__not_for_data_that_is_not_there():
    error = DataError("nowhere: the folder does not exist")
    add_doctor_hint(error, ["--config", "a.yaml"])
    assert str(error) == "nowhere: the folder does not exist"
