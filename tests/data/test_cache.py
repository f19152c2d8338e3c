import pytest

from lightseg.data.cache import cache_dir, cached, write_atomically


def test_cached__is_computed_once():
    calls = []
    for _ in range(2):
        assert cached("key", lambda: calls.append(1) or [1, 2]) == [1, 2]
    assert len(calls) == 1


def test_cached__damaged_entry_is_computed_again():
    cached("key", lambda: 1)
    (cache_dir() / "key.json").write_text("{")
    assert cached("key", lambda: 2) == 2
    assert cached("key", lambda: 3) == 2


def test_cached__unwritable_cache_is_no_error(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("LIGHTSEG_CACHE", str(tmp_path / "file" / "below"))
    assert cached("key", lambda: 4) == 4


def test_cached__an_error_is_not_remembered():
    with pytest.raises(ZeroDivisionError):
        cached("key", lambda: 1 / 0)
    assert cached("key", lambda: 5) == 5


def test_write_atomically__leaves_no_other_file(tmp_path):
    write_atomically(tmp_path / "new" / "a.txt", "one")
    write_atomically(tmp_path / "new" / "a.txt", "two")
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["a.txt"]
    assert (tmp_path / "new" / "a.txt").read_text() == "two"
