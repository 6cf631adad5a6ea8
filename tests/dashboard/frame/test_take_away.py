"""What can be saved from a screen."""

import io

import pytest
from pyarrow import parquet

from dashboard.frame.take_away import file_name, parquet_bytes


@pytest.mark.parametrize(
    ("words", "name"),
    [
        (("fashion-resnet", "3f2a9c01", "map"), "fashion-resnet_3f2a9c01_map"),
        (("/home/me/my models/net.py", "", "plan"), "net_plan"),
        (("fashion-vit", "block 1 / «heads»"), "fashion-vit_block-1-heads"),
    ],
)
def test_files_say_of_what_they_are(words, name):
    assert file_name(*words) == name


def test_a_file_name_never_leaves_its_folder():
    assert not set(file_name("../../etc/passwd", "../x", "\\y")) & set("/\\")


def test_what_is_not_known_is_null_in_parquet():
    rows = [{"target": "a", "drop": None}, {"target": "b", "drop": 0.5}]
    table = parquet.read_table(io.BytesIO(parquet_bytes(rows)))
    assert table.to_pylist() == rows
