import numpy as np
import pytest

from lightseg.files.disk_cache import cache_dir, cached, cached_array


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


def test_cached__exception_is_not_cached():
    with pytest.raises(ZeroDivisionError):
        cached("key", lambda: 1 / 0)
    assert cached("key", lambda: 5) == 5


def test_cached_array__is_computed_once_and_comes_from_the_file():
    array = np.arange(6).reshape(3, 2)
    calls = []
    for _ in range(2):
        result = cached_array("key", lambda: calls.append(1) or array)
        assert result.dtype == np.int64
        assert result.tolist() == array.tolist()
    assert len(calls) == 1
    assert [path.name for path in cache_dir().iterdir()] == ["key.npy"]


def test_cached_array__may_have_no_rows():
    for _ in range(2):
        assert cached_array("key", lambda: np.zeros((0, 5), np.int64)).shape == (0, 5)


@pytest.mark.parametrize("content", [b"", b"{", b"\x93NUMPY", None])
def test_cached_array__damaged_entry_is_computed_again(content):
    cached_array("key", lambda: np.zeros((50, 50), np.int64))
    path = cache_dir() / "key.npy"
    path.write_bytes(path.read_bytes()[:-100] if content is None else content)
    assert cached_array("key", lambda: np.ones(2, np.int64)).tolist() == [1, 1]
    assert cached_array("key", lambda: np.zeros(2, np.int64)).tolist() == [1, 1]


def test_cached_array__unwritable_cache_is_no_error(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("LIGHTSEG_CACHE", str(tmp_path / "file" / "below"))
    calls = []
    for _ in range(2):
        # computed once all the same
        assert cached_array("key", lambda: calls.append(1) or np.ones(2, np.int64)).tolist() == [1, 1]
    assert len(calls) == 1


def test_cache_dir__empty_variable_is_ignored(tmp_path, monkeypatch):
    monkeypatch.setenv("LIGHTSEG_CACHE", "")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_dir() == tmp_path / "lightseg"


def test_cached__unknown_home_is_no_error(monkeypatch):
    monkeypatch.setenv("LIGHTSEG_CACHE", "~no user has this name/cache")
    assert cached("key", lambda: 4) == 4
