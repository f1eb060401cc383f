"""JSON as packets carry it."""

from __future__ import annotations

import datetime
import decimal
import json as stdlib
import uuid
from typing import Any

import pytest
from django.core.serializers.json import DjangoJSONEncoder
from django.utils.functional import lazystr
from django.utils.safestring import mark_safe

from dtws_sio import json

MOMENT = datetime.datetime(2024, 5, 6, 7, 8, 9, 123456, tzinfo=datetime.timezone.utc)
BIG = 2**64 + 1
LONE = "\ud83d"


def nested(depth: int) -> list[Any]:
    value: list[Any] = []
    for _ in range(depth - 1):
        value = [value]
    return value


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (MOMENT, '"2024-05-06T07:08:09.123Z"'),
        (MOMENT.date(), '"2024-05-06"'),
        (MOMENT.time(), '"07:08:09.123"'),
        (datetime.timedelta(days=1, seconds=2), '"P1DT00H00M02S"'),
        (decimal.Decimal("1.10"), '"1.10"'),
        (uuid.UUID(int=1), '"00000000-0000-0000-0000-000000000001"'),
        (lazystr("lazy"), '"lazy"'),
        (mark_safe("<b>"), '"<b>"'),
    ],
)
@pytest.mark.parametrize("companion", [1, BIG], ids=["orjson", "standard library"])
def test_djangos_types_have_the_form_that_djangos_encoder_gives_them(value: object, text: str, companion: int) -> None:
    assert json.dumps([value, companion]) == f"[{text},{companion}]"
    assert stdlib.dumps(value, cls=DjangoJSONEncoder) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ({"a": [1, 2.5, None, True, "é"]}, '{"a":[1,2.5,null,true,"é"]}'),
        ((1, 2), "[1,2]"),
        ("", '""'),
        (0, "0"),
        (False, "false"),
        ([], "[]"),
    ],
)
def test_values_are_written_as_they_are_without_spaces(value: object, text: str) -> None:
    """Row W-D12: falsy values are no exception."""
    assert json.dumps(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (LONE, '"\\ud83d"'),
        ({LONE: LONE}, '{"\\ud83d":"\\ud83d"}'),
        (BIG, str(BIG)),
        (-BIG, str(-BIG)),
        ({1: "a", None: "b"}, '{"1":"a","null":"b"}'),
    ],
)
def test_what_orjson_refuses_and_javascript_may_show_is_written_all_the_same(value: object, text: str) -> None:
    assert json.dumps(value) == text


@pytest.mark.parametrize("value", [{1, 2}, object(), [BIG, object()], {(1,): 1}, b"bytes"])
def test_what_has_no_json_form_is_a_type_error(value: object) -> None:
    with pytest.raises(TypeError):
        json.dumps(value)


def test_the_error_of_a_default_function_is_told_as_it_is() -> None:
    def default(value: object) -> object:
        raise LookupError("no form")

    with pytest.raises(LookupError, match="no form"):
        json.dumps(object(), default)


def circular() -> list[Any]:
    value: list[Any] = []
    value.append(value)
    return value


@pytest.mark.parametrize("value", [circular(), nested(100_000), [BIG, float("nan")]], ids=["circular", "deep", "nan"])
def test_a_structure_that_cannot_be_written_is_a_value_error(value: object) -> None:
    with pytest.raises(ValueError, match=r"."):
        json.dumps(value)


DEEP = json.DEEPEST
"""What is read nests no deeper."""

NESTED = {
    "lists": lambda depth: "[" * depth + "1" + "]" * depth,
    "objects": lambda depth: '{"a":' * depth + "1" + "}" * depth,
    "both": lambda depth: '[1,{"a":' * (depth // 2) + "[" * (depth % 2) + "1" + "]" * (depth % 2) + "}]" * (depth // 2),
    "one of many": lambda depth: f'[1,"[[[",[],{{}},{"[" * (depth - 1)}1{"]" * (depth - 1)},2]',
    "beside a number that orjson refuses": lambda depth: f"{'[' * depth}{BIG}{']' * depth}",
}
"""Texts that nest so deep."""


@pytest.mark.parametrize("nested", NESTED.values(), ids=NESTED.keys())
@pytest.mark.parametrize("convert", [str, str.encode], ids=["text", "bytes"])
def test_whatever_can_be_read_can_be_written(nested: Any, convert: Any) -> None:
    """A handler that sends on what a client sent would fail otherwise, with a traceback for each."""
    value = json.loads(convert(nested(DEEP)))
    assert json.loads(json.dumps(value)) == value
    assert json.dumps({"data": [value]})
    with pytest.raises(ValueError, match="nests too deeply"):
        json.loads(convert(nested(DEEP + 1)))


@pytest.mark.parametrize(
    "text", ["[" + "[1]," * 5000 + "1]", '"' + "[" * 5000 + '"', '["' + "{[" * 5000 + '"]'], ids=len
)
def test_many_brackets_are_not_deep(text: str) -> None:
    assert json.loads(text)


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_a_number_that_is_not_finite_is_null_as_in_javascript(number: float) -> None:
    assert json.dumps([number]) == "[null]"


def test_arguments_of_the_standard_librarys_function_do_no_harm() -> None:
    """python-socketio's managers call `json.dumps(data, separators=...)` and the like."""
    assert json.dumps([1, 2], separators=(", ", ": "), indent=2) == "[1,2]"
    assert json.loads("[1]", cls=None) == [1]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('{"a":[1,2.5,null,true,"é"]}', {"a": [1, 2.5, None, True, "é"]}),
        ('"\\ud83d"', LONE),
        ('["\\ud83d\\ude00"]', ["😀"]),
        (str(2**63), 2**63),
        (b"[1]", [1]),
        (f'["\\ud83d",{"1" * json.LONGEST_NUMBER}]', [LONE, int("1" * json.LONGEST_NUMBER)]),
    ],
)
def test_json_is_read(text: str | bytes, value: object) -> None:
    assert json.loads(text) == value


def test_a_number_beyond_64_bits_is_read_as_javascript_does() -> None:
    assert float(json.loads(str(BIG))) == float(BIG)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[1,]",
        "'a'",
        "NaN",
        "-Infinity",
        "[1] 2",
        "1" * 400,
        "1" * 10_000,
        f'["\\ud83d",{"1" * (json.LONGEST_NUMBER + 1)}]',
        "[" * 100_000,
        '{"a":' * 100_000,
        b"\xff",
    ],
    ids=lambda text: f"{text!r:.12}",
)
def test_what_is_not_json_is_a_value_error(text: str | bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        json.loads(text)
