import pytest

from lightseg.files import replacing, write_atomically


def test_replacing__what_fails_leaves_the_old_file_and_nothing_else(tmp_path):
    write_atomically(tmp_path / "a", "old")

    def fail():
        with replacing(tmp_path / "a") as temporary:
            temporary.write_text("ne")
            raise OSError

    with pytest.raises(OSError):
        fail()
    assert [path.name for path in tmp_path.iterdir()] == ["a"]
    assert (tmp_path / "a").read_text() == "old"


def test_write_atomically__leaves_no_other_file(tmp_path):
    write_atomically(tmp_path / "new" / "a.txt", "one")
    write_atomically(tmp_path / "new" / "a.txt", "two")
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["a.txt"]
    assert (tmp_path / "new" / "a.txt").read_text() == "two"
