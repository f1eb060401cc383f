"""The error tree; rows D-60 to D-64."""

from __future__ import annotations

import inspect

import pytest

from dtws_sio import conf, exceptions
from dtws_sio.exceptions import DtwsSioError, RegistrationError

ALL = [each for _, each in inspect.getmembers(exceptions, inspect.isclass)] + [conf.ConfigurationError]


@pytest.mark.parametrize("error", ALL)
def test_every_error_is_caught_by_the_base_row_d_60(error: type[Exception]) -> None:
    assert issubclass(error, DtwsSioError)


@pytest.mark.parametrize(
    ("error", "builtin"),
    [
        (exceptions.DuplicateHandlerError, NameError),
        (exceptions.DuplicateNamespaceError, NameError),
        (exceptions.InvalidInstanceError, TypeError),
        (exceptions.NotCallableError, TypeError),
        (exceptions.SignatureError, TypeError),
        (exceptions.EventNameError, ValueError),
        (exceptions.NamespacePathError, ValueError),
        (exceptions.RateError, ValueError),
        (exceptions.MissingDependencyError, ImportError),
        (exceptions.NotServingError, RuntimeError),
        (exceptions.ProgressTypeError, TypeError),
        (exceptions.ProgressRangeError, ValueError),
        (exceptions.BarEndedError, RuntimeError),
    ],
)
def test_an_error_is_also_the_builtin_one_that_says_its_kind(error: type[Exception], builtin: type[Exception]) -> None:
    assert issubclass(error, builtin)


@pytest.mark.parametrize(
    "error",
    [
        exceptions.DuplicateHandlerError,
        exceptions.InvalidInstanceError,
        exceptions.NotCallableError,
        exceptions.DuplicateNamespaceError,
    ],
    ids=["D-61", "D-62", "D-64", "D-20"],
)
def test_what_goes_wrong_in_sockets_py_is_a_registration_error(error: type[Exception]) -> None:
    assert issubclass(error, RegistrationError)


def test_an_event_error_carries_what_the_page_is_told() -> None:
    error = exceptions.EventError("the room is full", code="full")
    assert (str(error), error.message, error.code) == ("the room is full", "the room is full", "full")
    assert exceptions.EventError("no").code == "error"


def test_a_csrf_error_has_a_code_of_its_own() -> None:
    error = exceptions.CsrfError("CSRF cookie not set.")
    assert isinstance(error, exceptions.EventError)
    assert (error.message, error.code) == ("CSRF cookie not set.", "csrf_failed")


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (exceptions.BarBusyError, "busy"),
        (exceptions.NotRunningError, "not_running"),
        (exceptions.UnknownBarError, "unknown_bar"),
        (exceptions.Cancelled, "cancelled"),
    ],
)
def test_what_a_page_may_hear_of_a_bar_has_a_code(error: type[exceptions.EventError], code: str) -> None:
    assert issubclass(error, exceptions.ProgressError)
    assert error().answer == {"code": code, "message": str(error())}


def test_details_of_an_event_error_stand_beside_its_code_and_message_and_never_replace_them() -> None:
    error = exceptions.EventError("the room is full", code="full", details={"seats": 4, "code": "other"})
    assert error.answer == {"seats": 4, "code": "full", "message": "the room is full"}
    assert exceptions.EventError("no").answer == {"code": "error", "message": "no"}


@pytest.mark.parametrize(
    ("errors", "message"),
    [
        ({"name": ["is missing"]}, "name: is missing"),
        ({"name": "is taken"}, "name: is taken"),
        ({"name": ["is missing"], "age": ["is odd", "is low"]}, "name: is missing (and 2 more)"),
        ({}, "invalid data"),
    ],
)
def test_a_validation_error_says_the_first_thing_and_lists_them_all(errors: dict[str, list[str]], message: str) -> None:
    error = exceptions.ValidationError(errors)
    assert isinstance(error, exceptions.EventError)
    assert (error.code, error.message) == ("invalid", message)
    assert error.details["fields"] == error.errors
    assert all(isinstance(messages, list) for messages in error.errors.values())
