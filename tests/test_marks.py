"""What decorators note on handlers; that each of them is refused when it comes too late is in test_permissions.py."""

from __future__ import annotations

from functools import partial

import pytest

from dtws_sio import Namespace, marks
from dtws_sio.exceptions import DecoratorOrderError


def test_nothing_is_noted_on_what_is_registered() -> None:
    def handler(sid: str) -> None: ...

    marks.put(handler, "color", "red")
    marks.close(handler)
    with pytest.raises(DecoratorOrderError, match=r"handler' was decorated after it had been registered"):
        marks.put(handler, "color", "blue")
    assert handler.color == "red"  # type: ignore[attr-defined]


@pytest.mark.parametrize("function", [partial(print), print, "".upper, Namespace("/").describe], ids=range(4))
def test_whatever_can_be_called_may_be_registered(function: object) -> None:
    marks.close(function)


def test_the_heir_of_a_class_is_another() -> None:
    class Shop(Namespace): ...

    marks.close(Shop)

    class Outlet(Shop): ...

    marks.put(Outlet, "color", "red")
