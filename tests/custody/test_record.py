"""The text of a record: what json.dumps() would have written, whatever is in it."""

from __future__ import annotations

import json

import pytest

from pytest_ipc.custody.record import written


@pytest.mark.parametrize(
    "value",
    [
        0,
        -1,
        1 << 70,
        True,
        False,
        None,
        0.1,
        1e300,
        1732160000.123456,
        "",
        "ä\udc80",
        'a"b\\c\n',
        "\x7f\0",
        [1],
        {"a": 1},
    ],
    ids=repr,
)
def test_record_equals_its_json(value):
    assert written({"at": value, "b": 1}) == json.dumps({"at": value, "b": 1})


def test_empty_mapping_is_valid():
    assert written({}) == "{}"
