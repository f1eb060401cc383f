"""The arguments of handlers by their annotations; rows S-03, S-20 to S-23 and W-F18."""

from __future__ import annotations

import contextlib
import copy
import dataclasses
import datetime
import decimal
import enum
import functools
import json
import logging
import numbers
import os
import re
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal, NewType, Optional, Protocol, TypedDict, TypeVar
from zoneinfo import ZoneInfo

import pydantic
import pytest
from django import forms
from django.contrib.auth.models import Group
from django.core.exceptions import ValidationError as DjangoValidationError
from django.core.validators import MaxLengthValidator, validate_slug
from django.db import DataError
from django.test import override_settings
from hypothesis import given, note, settings
from hypothesis import strategies as st
from rest_framework import serializers

from dtws_sio.exceptions import EventError, SignatureError, ValidationError
from dtws_sio.validation import RE, Choice, SerializedForm, make_converter
from dtws_sio.validation.refusals import LONGEST_MESSAGE, LONGEST_PATH, MOST_MESSAGES

if TYPE_CHECKING:
    from collections import Counter

UTC = datetime.timezone.utc
SOME_ID = uuid.UUID(int=7)


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Level(enum.IntEnum):
    LOW = 1
    HIGH = 2


class Lenient(enum.Enum):
    YES = "yes"

    @classmethod
    def _missing_(cls, value: object) -> Lenient | None:
        return cls.YES if value == "YES" else None


@dataclass
class Item:
    name: str
    number: int = 1


@dataclass
class Address:
    street: str
    town: str | None = None


@dataclass
class Order:
    address: Address
    items: list[Item] = dataclasses.field(default_factory=list)
    total: float = dataclasses.field(default=0.0, init=False)


@dataclass
class Period:
    first: int
    last: int

    def __post_init__(self) -> None:
        if self.last < self.first:
            raise ValueError("the end comes before the beginning")


@dataclass
class Tree:
    name: str
    children: list[Tree] = dataclasses.field(default_factory=list)


@dataclass
class Left:
    kind: Literal["left"]
    child: Left | Right | None = None


@dataclass
class Right:
    kind: Literal["right"]
    child: Left | Right | None = None


@dataclass
class HalfKnown:
    count: Counter[str]  # known to type checkers only
    name: str


class Point(TypedDict):
    x: int


class Labelled(Point, total=False):
    label: str


class HalfKnownDict(TypedDict):
    count: Counter[str]
    name: str


class Title(forms.Form):
    title = forms.CharField(max_length=20)


class Profile(forms.Form):
    name = forms.CharField(max_length=20)
    age = forms.IntegerField(required=False)
    price = forms.DecimalField(required=False, localize=True)
    born = forms.DateField(required=False)
    agreed = forms.BooleanField(required=False)
    known = forms.NullBooleanField(required=False)
    tags = forms.MultipleChoiceField(choices=[("a", "A"), ("b", "B")], required=False)
    extra = forms.JSONField(required=False)

    def clean(self) -> None:
        if self.cleaned_data.get("name") == "nobody":
            raise forms.ValidationError("nobody is no name")


class Upload(forms.Form):
    file = forms.FileField()


class Readers(forms.Form):
    name = forms.CharField(max_length=20)
    groups = forms.ModelMultipleChoiceField(Group.objects.all())
    others = forms.ModelMultipleChoiceField(Group.objects.all())
    extra = forms.JSONField()


class Tagged(forms.Form):
    def __init__(self, *args: Any, owner: str = "", **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.owner = owner


class ItemSerializer(serializers.Serializer):  # type: ignore[misc]
    name = serializers.CharField(max_length=5)


class OrderSerializer(serializers.Serializer):  # type: ignore[misc]
    street = serializers.CharField()
    items = ItemSerializer(many=True)

    def validate(self, data: dict[str, Any]) -> dict[str, Any]:
        if data["street"] == "nowhere":
            raise serializers.ValidationError("we do not go there")
        return data


class Article(pydantic.BaseModel):
    name: str
    number: int = 1


class Basket(pydantic.BaseModel):
    articles: list[Article]


class StrictArticle(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(strict=True)
    number: int


class Version:
    """A class of a project's, made from text; row S-22."""

    def __init__(self, text: str) -> None:
        self.parts = tuple(int(part) for part in str.split(text, "."))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Version) and other.parts == self.parts

    __hash__ = None  # type: ignore[assignment]


class Upper(str):
    __slots__ = ()

    def __new__(cls, text: str) -> Upper:
        return super().__new__(cls, text.upper())


class Sized(Protocol):
    def size(self) -> int: ...


class Shouted:
    """A handler that is an instance."""

    def __call__(self, sid: str, number: int) -> None: ...


def even(value: Any) -> int:
    if value % 2:
        raise ValueError("should be even")
    return int(value)


UserName = NewType("UserName", str)
T = TypeVar("T")

if sys.version_info >= (3, 11):
    from typing import NotRequired, Required

    class Some(TypedDict, total=False):
        first: Required[int]
        second: int

    class Most(TypedDict):
        first: int
        second: NotRequired[int]


def short(value: object) -> str:
    """Name a case; without addresses, so that all processes that share the tests name it alike."""
    return re.sub(r" at 0x[0-9a-f]+", "", str(value))[:80]


def handler(annotation: Any, **parameters: Any) -> Callable[..., Any]:
    def handle(sid, data, *rest): ...  # type: ignore[no-untyped-def]

    handle.__annotations__ = {"sid": int, "data": annotation, **parameters}
    return handle


def convert(annotation: Any, value: Any) -> Any:
    converter = make_converter(handler(annotation), 1)
    assert converter is not None
    sid, converted = converter(("sid", value))
    assert sid == "sid"
    return converted


def errors_of(annotation: Any, value: Any) -> dict[str, list[str]]:
    with pytest.raises(ValidationError) as caught:
        convert(annotation, value)
    return caught.value.errors


def fields_of(annotation: Any, value: Any) -> set[str]:
    return set(errors_of(annotation, value))


# What is accepted, and what it becomes


@pytest.mark.parametrize(
    ("annotation", "value", "expected"),
    [
        (str, "a", "a"),
        (int, 5, 5),
        (int, 10**30, 10**30),
        (float, 1.5, 1.5),
        (float, 2, 2.0),
        (bool, False, False),
        (None, None, None),
        (bytes, b"\0", b"\0"),
        (bytes, bytearray(b"a"), b"a"),
        (bytearray, b"a", bytearray(b"a")),
        (datetime.datetime, "2030-01-31T12:00:00.5Z", datetime.datetime(2030, 1, 31, 12, 0, 0, 500_000, UTC)),
        (datetime.date, "2030-01-31", datetime.date(2030, 1, 31)),
        (datetime.time, "12:30", datetime.time(12, 30)),
        (datetime.timedelta, "P1DT2H", datetime.timedelta(days=1, hours=2)),
        (decimal.Decimal, "1.10", decimal.Decimal("1.10")),
        (decimal.Decimal, 1.1, decimal.Decimal("1.1")),
        (decimal.Decimal, 3, decimal.Decimal(3)),
        (uuid.UUID, str(SOME_ID), SOME_ID),
        (uuid.UUID, SOME_ID, SOME_ID),
        (ZoneInfo, "Europe/Paris", ZoneInfo("Europe/Paris")),
        (Annotated[str, ZoneInfo], "UTC", ZoneInfo("UTC")),
        (int | None, None, None),
        (Optional[int], 1, 1),  # noqa: UP045 - both spellings
        (int | str, "1", "1"),
        (float | int, 1, 1),
        (float | int, 1.5, 1.5),
        (datetime.date | str, "today", "today"),
        (Literal["a", 1], "a", "a"),
        (Literal[Level.HIGH], 2, Level.HIGH),
        (Colour, "red", Colour.RED),
        (Level, 2, Level.HIGH),
        (Lenient, "YES", Lenient.YES),
        (Colour, Colour.RED, Colour.RED),
        (list, [1, "a"], [1, "a"]),
        (list[int], [1, 2], [1, 2]),
        (list[None], [None], [None]),
        (list[float], [1], [1.0]),
        (Sequence[int], [1], [1]),
        (Iterable[Any], [1], [1]),
        (set[int], [1, 1], {1}),
        (frozenset, ["a"], frozenset("a")),
        (tuple, [1], (1,)),
        (tuple[int, ...], [1, 2], (1, 2)),
        (tuple[int, str], [1, "a"], (1, "a")),
        (dict, {"a": []}, {"a": []}),
        (dict[str, Any], {"a": []}, {"a": []}),
        (Mapping[str, float], {"a": 1}, {"a": 1.0}),
        (dict[int, str], {"1": "a", "-2": "b"}, {1: "a", -2: "b"}),
        (dict[Colour, int], {"red": 1}, {Colour.RED: 1}),
        (list[dict[str, int | None]], [{"a": None}], [{"a": None}]),
        (UserName, "ann", "ann"),
        (Item, {"name": "pen"}, Item("pen", 1)),
        (Order, {"address": {"street": "a"}, "items": [{"name": "b"}]}, Order(Address("a"), [Item("b")])),
        (list[Address | None], [None, {"street": "a", "town": None}], [None, Address("a")]),
        (Tree, {"name": "a", "children": [{"name": "b"}]}, Tree("a", [Tree("b")])),
        (Left | Right, {"kind": "right", "child": {"kind": "left"}}, Right("right", Left("left"))),
        (Point, {"x": 1}, {"x": 1}),
        (Labelled, {"x": 1}, {"x": 1}),
        (Labelled, {"x": 1, "label": "a"}, {"x": 1, "label": "a"}),
        (Version, "1.2", Version("1.2")),
        (Version, Version("1.2"), Version("1.2")),
        (Upper, "a", Upper("a")),
        (numbers.Real, 1.5, 1.5),
        (even, 4, 4),
        (functools.partial(int, base=16), "ff", 255),
        (validate_slug, "a-b", "a-b"),
        (Annotated[int, "documentation"], 1, 1),
        (Annotated[str, int], "12", 12),
        (Annotated[int, even], 2, 2),
        (Annotated[str, validate_slug, MaxLengthValidator(3)], "abc", "abc"),
        (Annotated[Any, Choice([1, "a"])], "a", "a"),
        (list[Annotated[int, even]], [2, 4], [2, 4]),
        (list[Choice(["a"])], ["a"], ["a"]),  # type: ignore[misc]
        (Article, {"name": "a", "number": "2"}, Article(name="a", number=2)),
        (list[Article], [{"name": "a"}], [Article(name="a")]),
    ],
    ids=short,
)
def test_a_value_that_fits_becomes_what_the_annotation_says_row_s_22(
    annotation: Any, value: object, expected: object
) -> None:
    converted = convert(annotation, value)
    assert converted == expected
    assert type(converted) is type(expected)


@pytest.mark.parametrize(
    ("annotation", "values"),
    [
        (str, [1, None, True, [], {}, b"a"]),
        (int, ["12", 1.0, True, None, [1], {}, b"1"]),
        (float, ["1.5", True, None, 10**400, float("inf"), float("nan")]),
        (bool, ["false", "true", 0, 1, None, "", []]),
        (None, [0, "", False]),
        (bytes, ["a", 5, [1], None]),
        (bytearray, [5, "a"]),
        (datetime.datetime, ["", "x", "2030-02-31T00:00:00Z", 5, None, "2030" * 1000]),
        (datetime.date, ["2030-02-31", 5, "x" * 10**6]),
        (datetime.time, ["25:00", 5]),
        (datetime.timedelta, ["P99999999999D", "soon", 5]),
        (decimal.Decimal, ["1e99999", "NaN", "sNaN", "Infinity", "1,5", "", True, None, 10**200, "1" * 10**5]),
        (uuid.UUID, ["x", 5, None, "0" * 31]),
        (ZoneInfo, ["Mars/Olympus", "", "Europe", "../UTC", "/etc/passwd", "\0", "\ud800", "x" * 10**6, 5, None]),
        (Annotated[str, ZoneInfo], ["Mars/Olympus", "../UTC"]),
        (int | None, ["1", False]),
        (int | str, [None, 1.5, [], True]),
        (Literal["a", 1], ["b", True, 2, None, [], {}]),
        (Literal[True], [1, "true"]),
        (Colour, ["RED", "green", None, [], {}]),
        (Level, [True, 3, "1"]),
        (list, ["ab", {}, None, 1]),
        (set, [[[]], [{}], "ab"]),
        (set[list[int]], [[[1]]]),
        (frozenset, [[[]]]),
        (tuple[int, str], [[1], [1, "a", 2], "1a", None]),
        (dict, [[], "a", None, [["a", 1]]]),
        (dict[int, str], [[], "a"]),
        (Item, [[], "pen", None, 1]),
        (Version, ["1.x", "", None, [], {}]),
        (Annotated[str, Version], ["1.x", 5, None, [], {}]),
        (Upper, [1, {}]),
        (Period, [{"first": 2, "last": 1}]),
        (even, [3, "a", None, []]),
        (decimal.Decimal("1").compare, ["a", 1.5]),
        (validate_slug, ["a b"]),
        (Annotated[int, even], ["2", 3, None]),
        (Annotated[str, MaxLengthValidator(3)], ["abcd", 5]),
        (Article, [[], None, "a"]),
        (ItemSerializer, [[], None, "a", 1]),
        (Title, [[], None, "a", 1]),
    ],
    ids=short,
)
def test_a_value_that_does_not_fit_is_an_error_of_its_argument_row_s_22(annotation: Any, values: list[object]) -> None:
    for value in values:
        assert fields_of(annotation, value) == {"data"}, value


@pytest.mark.parametrize("character", ["\0", "\ud800"], ids=ascii)
@pytest.mark.parametrize(
    ("annotation", "value", "fields"),
    [
        (str, "%", {"data"}),
        (UserName, "é%", {"data"}),
        (Upper, "%", {"data"}),
        (int | str, "%", {"data"}),
        (datetime.date | str, "%", {"data"}),
        (Annotated[str, MaxLengthValidator(3)], "%", {"data"}),
        (RE("(?s).*"), "%", {"data"}),
        (list[str], ["a", "%"], {"data.1"}),
        (dict[str, Any], {"%": 1}, {"data.%"}),
        (dict[str, str], {"a": "%"}, {"data.a"}),
        (Item, {"name": "%"}, {"data.name"}),
        (Labelled, {"x": 1, "label": "%"}, {"data.label"}),
        (Title, {"title": "%"}, {"data.title"}),
        (Profile, {"name": "%", "tags": ["a", "%"]}, {"data.name", "data.tags"}),
        (Profile, {"name": "a", "extra": {"b": [1, "%"]}}, {"data.extra.b.1"}),
        (Profile, {"name": "a", "extra": "%"}, {"data.extra"}),
        (SerializedForm(Title), [{"name": "title", "value": "%"}], {"data.title"}),
        (OrderSerializer, {"street": "%", "items": [{"name": "%"}]}, {"data.street", "data.items.0.name"}),
        (Basket, {"articles": [{"name": "a"}, {"name": "%"}]}, {"data.articles.1.name"}),
        (Article, {"name": "a", "%": 1}, {"data.%"}),
    ],
    ids=short,
)
def test_text_that_cannot_be_stored_is_an_error_of_its_field(
    annotation: Any, value: object, fields: set[str], character: str
) -> None:
    def filled(value: Any) -> Any:
        if isinstance(value, str):
            return value.replace("%", character)
        if isinstance(value, dict):
            return {filled(key): filled(item) for key, item in value.items()}
        return [filled(item) for item in value] if isinstance(value, list) else value

    errors = errors_of(annotation, filled(value))
    assert set(errors) == set(map(filled, fields))
    said = "a null character" if character == "\0" else "one half of a surrogate pair"
    assert {message for messages in errors.values() for message in messages} == {f"should not hold {said}"}


@pytest.mark.parametrize("escape", [r"\u0000", r"\ud800"])
def test_text_that_is_json_itself_is_looked_into(escape: str) -> None:
    assert fields_of(Profile, {"name": "a", "extra": f'{{"b": ["{escape}"]}}'}) == {"data.extra.b.0"}


def test_text_beyond_the_basic_plane_is_text() -> None:
    for annotation in (str, RE("(?s).+")):
        assert convert(annotation, "\U0001f600\uffff\n") == "\U0001f600\uffff\n"


def test_text_that_nothing_is_asked_of_passes_as_it_is() -> None:
    assert convert(list, ["\ud800", "\0"]) == ["\ud800", "\0"]
    assert convert(dict, {"\ud800": "\0"}) == {"\ud800": "\0"}


def test_text_is_never_taken_for_true_row_s_03() -> None:
    """The old library gave the handler True for "false"."""
    assert errors_of(bool, "false") == {"data": ["should be true or false, not 'false'"]}


@pytest.mark.parametrize(
    ("annotation", "value", "fields"),
    [
        (list[int], [1, "x", 2, None], {"data.1", "data.3"}),
        (list[None], [None, 0], {"data.1"}),
        (tuple[int, str], ["a", "b"], {"data.0"}),
        (dict[str, int], {"a": 1, "b": "x"}, {"data.b"}),
        (dict[int, int], {"01": 1, "x": 2, "1": 3}, {"data.01", "data.x"}),
        (Order, {}, {"data.address"}),
        (Order, {"address": {}}, {"data.address.street"}),
        (Order, {"address": {"street": "a"}, "colour": "red"}, {"data.colour"}),
        (Order, {"address": {"street": "a"}, "total": 5.0}, {"data.total"}),
        (
            Order,
            {"address": {"street": 1}, "items": [{"name": "a"}, {}, {"name": 3}]},
            {"data.address.street", "data.items.1.name", "data.items.2.name"},
        ),
        (list[Period], [{"first": 2, "last": 1}], {"data.0"}),
        (Point, {}, {"data.x"}),
        (Labelled, {"x": 1, "label": 5, "z": 1}, {"data.label", "data.z"}),
        (Address | None, {"street": 5}, {"data.street"}),
        (int | Address, {"street": 5}, {"data.street"}),
        (Left | Right, {"kind": "left", "child": {"kind": "up"}}, {"data.child.kind"}),
        (Left | Right, {"kind": "right", "child": {"kind": "up"}}, {"data.child.kind"}),
        (Left | Right, {"kind": "right", "colour": 1}, {"data.colour"}),
        (Basket, {"articles": [{"name": "a"}, {"name": 5}]}, {"data.articles.1.name"}),
        (StrictArticle, {"number": "2"}, {"data.number"}),
        (OrderSerializer, {"items": [{"name": "a"}, {"name": "far too long"}]}, {"data.street", "data.items.1.name"}),
        (OrderSerializer, {"street": "nowhere", "items": []}, {"data"}),
        (Title, {}, {"data.title"}),
        (Profile, {"name": "nobody"}, {"data"}),
        (Profile, {"name": "a" * 30, "age": "old", "tags": ["z"]}, {"data.name", "data.age", "data.tags"}),
        (Profile, {"name": {"first": "a"}}, {"data.name"}),
        (list[Title], [{"title": "a"}, {}], {"data.1.title"}),
    ],
    ids=short,
)
def test_an_error_names_the_field_by_its_path(annotation: Any, value: object, fields: set[str]) -> None:
    assert fields_of(annotation, value) == fields


@pytest.mark.parametrize(
    ("annotation", "value", "message"),
    [
        (int, "12", "should be a whole number, not '12'"),
        (int | str | None, [], "should be a whole number or text or null, not a list"),
        (Colour, 5, "should be one of 'red', 'blue', not 5"),
        (Period, {"first": 2, "last": 1}, "the end comes before the beginning"),
        (even, 3, "should be even"),
        (even, "a", "is not valid"),
        (str, SOME_ID, "should be text, not a UUID"),
        (Annotated[str, MaxLengthValidator(3)], "abcd", "Ensure this value has at most 3 characters (it has 4)."),
    ],
    ids=short,
)
def test_a_message_says_what_is_wrong_and_no_internals(annotation: Any, value: object, message: str) -> None:
    """What a TypeError says is for programmers; what a validator's ValueError says is for the page."""
    assert errors_of(annotation, value) == {"data": [message]}


def test_the_answer_carries_the_code_the_message_and_the_fields() -> None:
    with pytest.raises(ValidationError) as caught:
        convert(Order, {"address": {}, "colour": 1})
    assert caught.value.answer == {
        "code": "invalid",
        "message": "data.colour: is unknown (and 1 more)",
        "fields": {"data.colour": ["is unknown"], "data.address.street": ["is missing"]},
    }
    assert isinstance(caught.value, EventError)
    json.dumps(caught.value.answer)


@pytest.mark.parametrize(
    ("use_tz", "text", "expected"),
    [
        (True, "2030-07-01T12:00:00", datetime.datetime(2030, 7, 1, 10, tzinfo=UTC)),
        (True, "2030-07-01T12:00:00+05:00", datetime.datetime(2030, 7, 1, 7, tzinfo=UTC)),
        (False, "2030-07-01T12:00:00", datetime.datetime(2030, 7, 1, 12)),  # noqa: DTZ001
        (False, "2030-07-01T12:00:00Z", datetime.datetime(2030, 7, 1, 14)),  # noqa: DTZ001
    ],
)
def test_a_moment_fits_the_projects_time_zone_as_in_djangos_forms(
    use_tz: bool, text: str, expected: datetime.datetime
) -> None:
    with override_settings(USE_TZ=use_tz, TIME_ZONE="Europe/Berlin"):
        assert convert(datetime.datetime, text) == expected
        assert fields_of(datetime.datetime, "9999-12-31T23:59:59-23:00" if not use_tz else "x") == {"data"}


def test_a_moment_that_the_clocks_skip_is_refused() -> None:
    with override_settings(USE_TZ=True, TIME_ZONE="Europe/Berlin"):
        assert fields_of(datetime.datetime, "2030-03-31T02:30:00") == {"data"}


# Which arguments are looked at


@pytest.mark.parametrize(
    "annotation",
    [Any, object, T, Sized, Annotated[Any, "documentation"], int | Any, type, 5, "no_such_name", "not python", "x" * 9],
    ids=short,
)
def test_annotations_that_ask_for_nothing_cost_nothing(annotation: Any) -> None:
    assert make_converter(handler(annotation), 1) is None


@pytest.mark.parametrize("function", [print, max, lambda sid, data: data, functools.partial(handler, 1), vars])
def test_handlers_without_annotations_cost_nothing(function: Callable[..., Any]) -> None:
    assert make_converter(function, 1) is None


class Room:
    def on_join(self, sid: str, number: int) -> None: ...

    @functools.lru_cache  # noqa: B019 - a decorator that wraps
    def on_leave(self, sid: str, number: int) -> None: ...


def plain(sid: str, number: int) -> None: ...


def outer(first: str, sid: str, number: int) -> None: ...


@functools.wraps(plain)
def wrapping(*arguments: Any) -> None: ...


@pytest.mark.parametrize(
    "function",
    [plain, Room().on_join, Room().on_leave, Shouted(), functools.partial(outer, "x"), wrapping],
    ids=["function", "method", "decorated method", "instance", "partial", "wrapper"],
)
def test_every_kind_of_handler_is_understood_with_annotations_as_text(function: Callable[..., Any]) -> None:
    converter = make_converter(function, 1)
    assert converter is not None
    assert converter(("sid", 1)) == ("sid", 1)
    with pytest.raises(ValidationError, match="number: should be a whole number"):
        converter(("sid", "1"))


def test_arguments_that_did_not_come_keep_their_defaults() -> None:
    def handle(sid: str, first: int, second: int = 5, third: int = None) -> None: ...  # noqa: RUF013

    converter = make_converter(handle, 1)
    assert converter is not None
    assert converter(("sid", 1)) == ("sid", 1)
    assert converter(("sid", 1, 2)) == ("sid", 1, 2)
    assert converter(("sid", 1, 2, None)) == ("sid", 1, 2, None), "null stands for a default of None"
    with pytest.raises(ValidationError, match="second"):
        converter(("sid", 1, None))


def test_all_arguments_are_checked_at_once() -> None:
    def handle(sid: str, first: int, second, *rest: int) -> None: ...  # type: ignore[no-untyped-def]

    converter = make_converter(handle, 1)
    assert converter is not None
    assert converter(("sid", 1, "any", 2, 3)) == ("sid", 1, "any", 2, 3)
    with pytest.raises(ValidationError) as caught:
        converter(("sid", "a", "any", 2, "b"))
    assert set(caught.value.errors) == {"first", "rest.1"}


def test_leading_arguments_are_left_alone() -> None:
    def handle(*arguments: int) -> None: ...

    converter = make_converter(handle, 2)
    assert converter is not None
    assert converter(("event", "sid", 1)) == ("event", "sid", 1)
    with pytest.raises(ValidationError, match=r"arguments\.0"):
        converter(("event", "sid", "a"))


def test_the_auth_of_a_connect_handler_is_an_argument_like_others() -> None:
    def on_connect(sid: str, environ: dict[str, Any], auth: Point | None = None) -> None: ...

    converter = make_converter(on_connect, 2)
    assert converter is not None
    assert converter(("sid", {})) == ("sid", {})
    assert converter(("sid", {}, None)) == ("sid", {}, None)
    with pytest.raises(ValidationError) as caught:
        converter(("sid", {}, {"token": "a"}))
    assert set(caught.value.errors) == {"auth.x", "auth.token"}


def test_what_was_given_is_never_changed_row_s_03() -> None:
    """The old library converted in place, so that the next handler of the same signal saw converted values."""
    given_value = {"address": {"street": "a"}, "items": [{"name": "b", "number": 2}]}
    before = copy.deepcopy(given_value)
    arguments = ("sid", given_value)
    converter = make_converter(handler(Order), 1)
    assert converter is not None
    assert isinstance(converter(arguments)[1], Order)
    assert arguments == ("sid", before)


def test_a_name_for_type_checkers_only_leaves_its_argument_unchecked_and_says_so(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def handle(sid: Counter[str], counted: Counter[str], number: int, *, named: Counter[str]) -> Counter[str]: ...

    with caplog.at_level(logging.WARNING, "dtws_sio.validation"):
        converter = make_converter(handle, 1)
    assert converter is not None
    [warning] = caplog.messages
    assert "'counted' of " in warning
    assert "TYPE_CHECKING" in warning
    assert converter(("sid", object, 1))[1] is object
    with pytest.raises(ValidationError, match="number"):
        converter(("sid", object, "1"))


@pytest.mark.parametrize("annotation", [list["Item"], 'list["Item"]'])
def test_text_inside_of_an_annotation_is_resolved_or_complained_about(
    annotation: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """Python 3.10 resolves no text inside of `list[...]`."""
    if convert(annotation, [{"name": "pen"}]) == [{"name": "pen"}]:
        assert "is still text: 'Item'" in caplog.text
    else:
        assert fields_of(annotation, [{}]) == {"data.0.name"}
        assert not caplog.messages


def test_a_field_for_type_checkers_only_leaves_the_others_checked() -> None:
    assert convert(HalfKnown, {"count": 5, "name": "a"}) == HalfKnown(5, "a")  # type: ignore[arg-type]
    assert convert(HalfKnownDict, {"count": 5, "name": "a"}) == {"count": 5, "name": "a"}
    for annotation in (HalfKnown, HalfKnownDict):
        assert fields_of(annotation, {"count": 5, "name": 5}) == {"data.name"}


def test_a_model_is_refused_at_registration() -> None:
    with pytest.raises(SignatureError, match="the model Group"):
        make_converter(handler(Group), 1)


def test_faults_of_a_validator_are_no_errors_of_the_client() -> None:
    def faulty(value: object) -> None:
        raise KeyError(value)

    def denied(value: object) -> None:
        raise EventError("not you", code="denied")

    with pytest.raises(KeyError):
        convert(faulty, 1)
    with pytest.raises(EventError, match="not you"):
        convert(denied, 1)


@pytest.mark.parametrize(
    ("error", "errors"),
    [
        (DjangoValidationError("bad"), {"data": ["bad"]}),
        (DjangoValidationError(["bad", "worse"]), {"data": ["bad", "worse"]}),
        (DjangoValidationError({"street": ["bad"], "__all__": ["worse"]}), {"data.street": ["bad"], "data": ["worse"]}),
        (ValueError(), {"data": ["is not valid"]}),
        (ArithmeticError("internal"), {"data": ["is not valid"]}),
    ],
    ids=repr,
)
def test_djangos_validation_errors_keep_their_messages_row_s_22(error: Exception, errors: dict[str, Any]) -> None:
    def refuse(value: object) -> None:
        raise error

    assert errors_of(refuse, 1) == errors


@pytest.mark.skipif(sys.version_info < (3, 11), reason="typing has these from Python 3.11 on")
def test_required_and_not_required_count_in_a_typed_dict() -> None:
    for each in (Some, Most):
        assert fields_of(each, {}) == {"data.first"}
        assert fields_of(each, {"first": 1, "second": "a"}) == {"data.second"}


@pytest.mark.skipif(sys.version_info < (3, 12), reason="Python has `type` from 3.12 on")
def test_a_type_alias_may_hold_itself() -> None:
    scope: dict[str, Any] = {}
    exec("type Nested = int | list[Nested]\ntype Lost = no_such_name", scope)
    assert convert(scope["Nested"], [1, [2, []]]) == [1, [2, []]]
    assert fields_of(scope["Nested"], [1, ["a"]]) == {"data.1.0"}
    assert convert(scope["Lost"], "anything") == "anything"


# RE and Choice


@pytest.mark.parametrize(
    ("validator", "value", "expected"),
    [
        (RE(r"\d+"), "12", "12"),
        (RE(r"\d+"), 12, "12"),
        (RE(r"\d+", caster=int), "12", 12),
        (RE(r"A-(\d+)", caster=int), "A-7", 7),
        (RE(r"(a)(b)"), "ab", "a"),
        (RE(r"[a-z]+", flags=2), "ABC", "ABC"),
        (RE(r"a*", longest=5), "aaaaa", "aaaaa"),
        (RE(r"(a)?b"), "b", "b"),
    ],
    ids=repr,
)
def test_re_gives_the_first_group_or_the_text_to_its_caster_row_s_20(
    validator: RE, value: object, expected: object
) -> None:
    assert convert(validator, value) == expected


@pytest.mark.parametrize(
    ("validator", "value"),
    [
        (RE(r"\d+"), "12abc"),
        (RE(r"\d+"), "12\n"),
        (RE(r"\d+"), ""),
        (RE(r"True"), True),
        (RE(r"None"), None),
        (RE(r".*"), []),
        (RE(r".*"), {}),
        (RE(r".*"), b"a"),
        (RE(r".*", caster=int), "a"),
        (RE(r".*", caster=decimal.Decimal), "a"),
        (RE(r"(a)?b", caster=int), "b"),
        (RE(r"a*", longest=5), "aaaaaa"),
        (RE(r"a*"), "a" * 1001),
    ],
    ids=repr,
)
def test_re_refuses_what_does_not_match_as_a_whole_row_s_20(validator: RE, value: object) -> None:
    """The old one matched a prefix: `RE(r'\\d+')` let "12abc" pass."""
    assert fields_of(validator, value) == {"data"}


@pytest.mark.parametrize(
    ("validator", "value", "expected"),
    [
        (Choice(["a", "b"]), "b", "b"),
        (Choice((1, 2), caster=int), "2", 2),
        (Choice(iter([1, 2])), 2, 2),
        (Choice([True]), True, True),
        (Choice([[1]]), [1], [1]),
        (Choice(Colour, caster=Colour), "red", Colour.RED),
    ],
    ids=repr,
)
def test_choice_gives_one_of_its_values_row_s_21(validator: Choice, value: object, expected: object) -> None:
    for _ in range(2):  # the values of an iterator last
        assert convert(validator, value) == expected


@pytest.mark.parametrize(
    ("validator", "value"),
    [
        (Choice(["a", "b"]), "c"),
        (Choice(["a", "b"]), []),
        (Choice({"a", "b"}), {"a": 1}),
        (Choice([0, 1]), True),
        (Choice([1, 2], caster=int), "x"),
        (Choice([1, 2], caster=int), None),
        (Choice([1, 2], caster=int), 3),
    ],
    ids=repr,
)
def test_choice_refuses_everything_else_row_s_21(validator: Choice, value: object) -> None:
    """The old one raised TypeError for what cannot be hashed."""
    assert fields_of(validator, value) == {"data"}


def test_validators_raise_value_error_for_whoever_calls_them_rows_s_20_and_s_21() -> None:
    for validator in (RE("a"), Choice("a"), SerializedForm(Title)):
        with pytest.raises(ValueError, match=r"should be|form"):
            validator("b")


# Forms


def test_a_form_is_filled_in_as_a_posted_one() -> None:
    form = convert(
        Profile,
        {
            "name": "ann",
            "age": 5,
            "price": 1.5,
            "born": "2000-01-31",
            "agreed": True,
            "known": False,
            "tags": ["a", "b"],
            "extra": {"deep": [1]},
            "csrfmiddlewaretoken": "ignored",
        },
    )
    assert isinstance(form, Profile)
    assert form.is_bound
    assert form.cleaned_data == {
        "name": "ann",
        "age": 5,
        "price": decimal.Decimal("1.5"),
        "born": datetime.date(2000, 1, 31),
        "agreed": True,
        "known": False,
        "tags": ["a", "b"],
        "extra": {"deep": [1]},
    }


def test_numbers_of_a_form_are_not_read_with_a_languages_separators() -> None:
    with override_settings(LANGUAGE_CODE="de", USE_THOUSAND_SEPARATOR=True):
        assert convert(Profile, {"name": "ann", "price": 1.5}).cleaned_data["price"] == decimal.Decimal("1.5")


@pytest.mark.parametrize("value", [False, "false", None])
def test_a_check_box_knows_what_false_is_row_s_03(value: object) -> None:
    assert convert(Profile, {"name": "ann", "agreed": value}).cleaned_data["agreed"] is False


@pytest.mark.django_db
def test_a_model_form_may_ask_the_database() -> None:
    group_form = forms.modelform_factory(Group, fields=["name"])
    convert(group_form, {"name": "readers"}).save()
    assert Group.objects.get().name == "readers"
    assert errors_of(group_form, {"name": "readers"}) == {"data.name": ["Group with this Name already exists."]}


@pytest.mark.django_db
def test_a_number_that_the_database_cannot_hold_is_an_error_of_its_field() -> None:
    """SQLite's adapter raises OverflowError, which Django lets pass for lists of keys."""
    errors = errors_of(Readers, {"name": "a" * 30, "groups": [2**63], "others": [2**70], "extra": "[1]"})
    assert set(errors) == {"data.name", "data.groups", "data.others"}


def test_a_value_that_its_field_cannot_bear_is_an_error_of_that_field() -> None:
    """The standard library's JSON raises a plain ValueError for a number that has too many digits."""
    errors = errors_of(Profile, {"name": "a" * 30, "extra": "9" * 5000})
    assert errors["data.extra"] == ["is not a value that can be used"]
    assert set(errors) == {"data.name", "data.extra"}, "what was found before is told too"
    assert set(errors_of(SerializedForm(Profile, prefix="a"), {"a-name": "b", "a-extra": "9" * 5000})) == {"data.extra"}


def raising(error: Exception, base: type, method: str) -> type:
    def check(*arguments: object) -> None:
        raise error

    return type("Raising", (base,), {method: check})


@pytest.mark.parametrize("error", [OverflowError("too large"), UnicodeError("no text"), DataError("out of range")])
@pytest.mark.parametrize(("base", "method"), [(Title, "clean"), (ItemSerializer, "validate")])
def test_what_a_form_as_a_whole_cannot_bear_is_an_error_of_the_whole(error: Exception, base: type, method: str) -> None:
    annotation = raising(error, base, method)
    assert errors_of(annotation, {"title": "a", "name": "a"}) == {"data": ["is not a value that can be used"]}


@pytest.mark.parametrize(("base", "method"), [(Title, "clean"), (ItemSerializer, "validate")])
def test_a_fault_of_a_form_is_no_error_of_the_client(base: type, method: str) -> None:
    annotation = raising(ValueError("my own fault"), base, method)
    with pytest.raises(ValueError, match="my own fault"):
        convert(annotation, {"title": "a", "name": "a"})


@pytest.mark.parametrize(
    "value",
    [
        [{"name": "name", "value": "ann"}, {"name": "tags", "value": "a"}, {"name": "tags", "value": "b"}],
        [{"name": "name", "value": "ann"}, {"name": "tags", "value": ["a", "b"]}],
        {"name": "ann", "tags": ["a", "b"]},
    ],
    ids=["repeated names", "a list as a value", "an object"],
)
def test_a_serialized_form_may_have_several_values_row_s_23(value: object) -> None:
    """The old one made a nested list of a list."""
    form = convert(SerializedForm(Profile), value)
    assert form.cleaned_data["name"] == "ann"
    assert form.cleaned_data["tags"] == ["a", "b"]


@pytest.mark.parametrize(
    ("value", "fields"),
    [
        ([{"value": "a"}], {"data.0"}),
        ([{"name": "title", "value": "a"}, {"name": "title"}, 5, None, []], {"data.1", "data.2", "data.3", "data.4"}),
        ([{"name": ["title"], "value": "a"}], {"data.0"}),
        ([{"name": "title", "value": [["a"]]}], {"data.title"}),
        ([{"name": "title", "value": {"a": 1}}], {"data.title"}),
        ([{"name": "title", "value": "a" * 30}], {"data.title"}),
        ([], {"data.title"}),
        ({}, {"data.title"}),
        ("title=a", {"data"}),
        (5, {"data"}),
    ],
    ids=repr,
)
def test_a_malformed_serialized_form_is_an_error_that_names_the_entry_rows_s_23_and_w_f18(
    value: object, fields: set[str]
) -> None:
    """The old one raised KeyError, which stopped all handlers of the signal."""
    assert fields_of(SerializedForm(Title), value) == fields


def test_null_is_an_unbound_form_where_that_is_allowed_row_s_23() -> None:
    assert not convert(SerializedForm(Title), None).is_bound
    assert fields_of(SerializedForm(Title, allow_none=False), None) == {"data"}


def test_further_arguments_go_to_the_form_row_s_23() -> None:
    annotation = SerializedForm(Tagged, True, "id_%s", "prefix", owner="ann")
    for value in ([], None):
        form = convert(annotation, value)
        assert (form.owner, form.auto_id, form.prefix) == ("ann", "id_%s", "prefix")


@pytest.mark.parametrize("annotation", [Upload, SerializedForm(Upload)], ids=["the form", "SerializedForm"])
@pytest.mark.parametrize(
    ("value", "name", "media_type"),
    [
        ({"name": "a.png", "content": b"\x89PNG"}, "a.png", "image/png"),
        ({"name": "C:\\pictures\\a.png", "content": b"\x89PNG"}, "a.png", "image/png"),
        ({"name": "../../etc/pass\x00wd", "content": b"\x89PNG"}, "passwd", "application/octet-stream"),
        (b"\x89PNG", "file", "application/octet-stream"),
    ],
    ids=repr,
)
def test_bytes_are_an_upload_row_s_23(annotation: Any, value: object, name: str, media_type: str) -> None:
    upload = convert(annotation, {"file": value}).cleaned_data["file"]
    assert (upload.name, upload.read(), upload.size, upload.content_type) == (name, b"\x89PNG", 4, media_type)


def test_a_serialized_upload_is_an_entry_of_the_list_row_s_23() -> None:
    value = [{"name": "file", "value": {"name": "a.txt", "content": b"text"}}]
    assert convert(SerializedForm(Upload), value).cleaned_data["file"].read() == b"text"


@pytest.mark.parametrize(
    "value",
    [
        "C:\\fakepath\\a.png",
        {"name": "a.png"},
        {"name": "a.png", "content": "text"},
        {"name": "..", "content": b"a"},
        b"",
    ],
    ids=repr,
)
@pytest.mark.parametrize("annotation", [Upload, SerializedForm(Upload)], ids=["the form", "SerializedForm"])
def test_a_required_file_wants_its_content_row_w_f18(annotation: Any, value: object) -> None:
    """The old one made an upload of one byte from the mere name of a file."""
    assert fields_of(annotation, {"file": value}) == {"data.file"}


# REST framework and pydantic


def test_a_serializer_reaches_the_handler_validated() -> None:
    serializer = convert(OrderSerializer, {"street": "a", "items": [{"name": "b"}], "unknown": 1})
    assert isinstance(serializer, OrderSerializer)
    assert serializer.validated_data == {"street": "a", "items": [{"name": "b"}]}


def test_a_pydantic_model_is_as_strict_as_its_configuration() -> None:
    assert convert(Article, {"name": "a", "number": "2"}).number == 2
    assert errors_of(StrictArticle, {"number": "2"}) == {"data.number": ["Input should be a valid integer"]}


def test_neither_rest_framework_nor_pydantic_is_imported() -> None:
    code = "import sys, dtws_sio.validation; print(*sys.modules)"
    answer = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "DJANGO_SETTINGS_MODULE": "tests.settings"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert not {"rest_framework", "pydantic"} & set(answer.stdout.split())


# What hostile clients send


HOSTILE = [
    (list[int], ["x" * 10_000] * 10_000),
    (dict[str, int], {f"{'k' * 10_000}{number}": "v" for number in range(100)}),
    (Item, {f"{'k' * 10_000}{number}": "v" for number in range(100)}),
    (Choice(["a"]), "x" * 1_000_000),
    (RE("a"), "x" * 1_000_000),
    (Title, {"title": "x" * 1_000_000}),
    (Profile, {"name": "a", "tags": ["x" * 10_000] * 100}),
    (SerializedForm(Title), [5] * 10_000),
    (list[ItemSerializer], [{"name": "x" * 10_000}] * 10_000),
    (OrderSerializer, {"street": "a", "items": [{"name": "x" * 1000}] * 1000}),
    (Basket, {"articles": [{"name": 5}] * 10_000}),
    (int, 10**90),
    (str, 10**90),
    (Version, "1." * 100_000),
]


@pytest.mark.parametrize(("annotation", "value"), HOSTILE, ids=[str(annotation) for annotation, _ in HOSTILE])
def test_an_answer_is_short_whatever_was_sent(annotation: Any, value: object) -> None:
    if (annotation, value) == (int, 10**90):
        assert convert(annotation, value) == value
        return
    errors = errors_of(annotation, value)
    assert 0 < sum(map(len, errors.values())) <= MOST_MESSAGES
    for field, messages in errors.items():
        assert len(field) <= LONGEST_PATH
        assert all(len(message) <= LONGEST_MESSAGE for message in messages)


@pytest.mark.parametrize("depth", [20, 900, 20_000])
def test_a_union_that_nests_too_deeply_is_tried_once_as_well(depth: int) -> None:
    value: dict[str, Any] = {"kind": "up"}
    for _ in range(depth):
        value = {"kind": "right", "child": value}
    begin = time.monotonic()
    assert len(errors_of(Left | Right, value)) == 1
    assert time.monotonic() - begin < 5


@pytest.mark.parametrize("depth", [900, 20_000])
def test_what_nests_too_deeply_is_an_error_and_no_crash(depth: int) -> None:
    value: dict[str, Any] = {"name": "leaf"}
    for _ in range(depth):
        value = {"name": "a", "children": [value]}
    errors = errors_of(Tree, value)
    assert list(errors.values()) == [["nests too deeply"]]


def test_a_union_that_holds_itself_is_tried_once_for_each_value() -> None:
    """Without a memory, this depth would take 2**60 steps."""
    value: dict[str, Any] = {"kind": "up"}
    for _ in range(60):
        value = {"kind": "up", "child": value}
    begin = time.monotonic()
    with pytest.raises(ValidationError):
        convert(Left | Right, value)
    assert time.monotonic() - begin < 5


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.binary()
    | st.sampled_from(["a", "red", "name", "2030-01-31", "1e999", "\ud83d", "\0", 10**400, str(SOME_ID), "P1D", "-"]),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.text() | st.sampled_from(["name", "value", "content", "street", "items", "x", "title", "file", "kind"]),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)

ANNOTATIONS = [
    str,
    int,
    float,
    bool,
    bytes,
    memoryview,
    datetime.datetime,
    datetime.date,
    datetime.time,
    datetime.timedelta,
    decimal.Decimal,
    uuid.UUID,
    Colour,
    Level,
    Literal["a", 1, None],
    int | list[str] | None,
    list[set[int]],
    set,
    tuple[int, ...],
    dict[int, decimal.Decimal],
    dict[uuid.UUID, Any],
    Order,
    Period,
    Tree,
    Left | Right,
    Labelled,
    RE(r"(a)?.*", caster=float),
    Choice([1, "a", None], caster=str),
    Version,
    numbers.Number,
    Annotated[str, validate_slug],
    Profile,
    Upload,
    SerializedForm(Profile),
    SerializedForm(Upload),
    ItemSerializer,
    OrderSerializer,
    Article,
    Basket,
]


@given(value=JSON)
@settings(max_examples=100, deadline=None)
def test_whatever_a_client_sends_is_taken_or_refused_and_stays_as_it_was(value: Any) -> None:
    before = repr(value)
    for annotation in ANNOTATIONS:
        note(f"{annotation}")
        with contextlib.suppress(ValidationError):
            convert(annotation, value)
        assert repr(value) == before
