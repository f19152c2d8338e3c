"""Tables of CSV, TSV and Parquet."""

import builtins

import pytest

from lightseg.data.io.tables import read_table
from lightseg.data.io.text_file import LARGEST
from lightseg.errors import DataError, UserError
from tests.helpers.sparse import write_sparse


@pytest.fixture
def table(tmp_path):
    """Write a table and read it."""

    def read(text, name="table.csv", delimiter=None):
        (tmp_path / name).write_text(text, encoding="utf-8")
        return read_table(tmp_path / name, delimiter)

    return read


def test_read_table__columns_without_spaces_and_lines_of_the_file(table):
    content = table('path, label\n"a,1.png",cat\n\n b.png , dog \n')
    assert content.columns == {"path": ["a,1.png", "b.png"], "label": ["cat", "dog"]}
    assert list(content.lines) == [2, 4]
    assert len(content) == 2
    assert content.place(1).endswith("table.csv: line 4")


@pytest.mark.parametrize(("text", "name", "delimiter"), [("a\tb\n1\t2\n", "t.tsv", None), ("a;b\n1;2\n", "t.csv", ";")])
def test_read_table__delimiters(table, text, name, delimiter):
    assert table(text, name, delimiter).columns == {"a": ["1"], "b": ["2"]}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"the table is empty; it needs a line with the names"),
        ("a,b\n", "the table is empty"),
        ("a,b\n1,2\n1,2,3\n", r'line 3 has 3 columns, and the first line 2; put values that hold "," into quotation'),
        ("a,a\n1,2\n", "two columns are called a; give each a name of its own"),
        ("a,,\n1,2,3\n", "two columns are called nothing"),
        ("a;b\n1;2\n", 'its columns are separated by semicolons; set data.delimiter: ";"'),
        ("a\tb\n1\t2\n", r'its columns are separated by tabs; set data.delimiter: "\\t"'),
        ('a,b\n"x,2\n', r"line \d cannot be read as CSV \(.*\); save it again"),
        ('a,b\n"x"y,2\n', r"line 2 cannot be read as CSV \(.*\); save it again"),
    ],
)
def test_read_table__a_broken_one_is_one_line(table, text, message):
    with pytest.raises(DataError, match=rf"table\.csv: {message}"):
        table(text)


def test_read_table__that_is_missing(tmp_path):
    with pytest.raises(DataError, match=r"x\.csv: this table does not exist; set data\.table$"):
        read_table(tmp_path / "x.csv")


def test_find_column__by_option_or_by_a_common_name(table):
    content = table("File,label,Class\na,b,c\n")
    assert content.find_column("image_column", None, ("path", "file")) == "File"
    assert content.find_column("image_column", "Class", ("path", "file")) == "Class"
    for name, common_names, message in (
        ("clas", (), r"there is no column clas; did you mean Class\? \(data\.option\)"),
        ("xyzw", (), r"there is no column xyzw; there are File, label, Class \(data\.option\)"),
        (None, ("label", "class"), "label and Class may each be the column; set data.option to one"),
        (None, ("split",), "no column is called split or the like; set data.option to one of File, label, Class"),
    ):
        with pytest.raises(DataError, match=message):
            content.find_column("option", name, common_names)


def test_read_table__parquet_has_rows_and_no_lines(tmp_path):
    arrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    parquet.write_table(
        arrow.table({"path": ["a.png", None], "label": [1, 2], "dog": [1.0, float("nan")]}), tmp_path / "t.parquet"
    )
    content = read_table(tmp_path / "t.parquet")
    assert content.columns == {"path": ["a.png", ""], "label": ["1", "2"], "dog": ["1.0", ""]}
    assert content.place(1).endswith("t.parquet: row 2")
    (tmp_path / "t.parquet").write_bytes(b"no table")
    with pytest.raises(DataError, match=r"t\.parquet: cannot be read as Parquet \(.*\); save it again"):
        read_table(tmp_path / "t.parquet")
    write_sparse(tmp_path / "t.parquet", LARGEST + 1)
    with pytest.raises(UserError, match=r"t\.parquet: .*it is longer than"):
        read_table(tmp_path / "t.parquet")


def test_read_table__parquet_without_its_package_names_the_extra(tmp_path, monkeypatch):
    (tmp_path / "t.parquet").write_bytes(b"")
    original = builtins.__import__

    def without_pyarrow(name, *args, **kwargs):
        if name.partition(".")[0] == "pyarrow":
            raise ImportError(name)
        return original(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without_pyarrow)
    with pytest.raises(DataError, match=r"pip install 'lightseg\[parquet\]', or save the table as CSV$"):
        read_table(tmp_path / "t.parquet")
