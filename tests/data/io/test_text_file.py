"""Text files of other programs."""

import os

import pytest

from lightseg.data.io.text_file import LARGEST, read_text
from lightseg.errors import DataError, UserError
from tests.helpers.sparse import write_sparse


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_read_text__without_its_byte_order_mark(tmp_path, encoding):
    path = tmp_path / "list.txt"
    path.write_bytes("größe\n".encode(encoding))
    assert read_text(path) == "größe\n"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"one\ntwo\xe4\n", r"line 2 is not UTF-8 \(byte 0xe4\); save it as UTF-8$"),
        (b"\xff\xfea\x00b", "begins as UTF-16 and goes on as something else; save it as UTF-8$"),
    ],
)
def test_read_text__another_encoding_is_named_with_its_line(tmp_path, content, message):
    path = tmp_path / "list.txt"
    path.write_bytes(content)
    with pytest.raises(DataError, match=message):
        read_text(path)


def test_read_text__bytes_may_be_replaced(tmp_path):
    path = tmp_path / "list.txt"
    path.write_bytes(b"a\xe4b")
    assert read_text(path, "replace") == "a\N{REPLACEMENT CHARACTER}b"


def test_read_text__a_missing_file_is_named(tmp_path):
    with pytest.raises(DataError, match=r"x\.txt: cannot be read \(No such file or directory\)$"):
        read_text(tmp_path / "x.txt")


def test_read_text__a_pipe_or_a_larger_file_is_refused(tmp_path):
    os.mkfifo(tmp_path / "pipe.txt")
    with pytest.raises(UserError, match=r"pipe\.txt"):
        read_text(tmp_path / "pipe.txt")
    write_sparse(tmp_path / "large.csv", LARGEST + 1)
    with pytest.raises(UserError, match=r"large\.csv: .*it is longer than 2147483648 bytes"):
        read_text(tmp_path / "large.csv")
