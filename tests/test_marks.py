"""What decorators note on handlers; that each of them is refused when it comes too late is in test_permissions.py."""

from __future__ import annotations

import subprocess
import sys
from functools import partial
from types import ModuleType
from typing import TYPE_CHECKING

import pytest
from django.contrib.auth.decorators import login_required as django_login_required

from dtws_sio import Namespace, marks
from dtws_sio.exceptions import DecoratorOrderError

if TYPE_CHECKING:
    from pathlib import Path


def test_nothing_is_noted_on_what_is_registered() -> None:
    def handler(sid: str) -> None: ...

    marks.put(handler, "color", "red")
    marks.close(handler)
    with pytest.raises(DecoratorOrderError, match=r"handler' was decorated after it had been registered"):
        marks.put(handler, "color", "blue")
    assert vars(handler) == {"color": "red"}


@pytest.mark.parametrize("function", [partial(print), print, "".upper, Namespace("/").describe], ids=range(4))
def test_whatever_can_be_called_may_be_registered(function: object) -> None:
    marks.close(function)


def test_a_decorator_of_others_above_is_found_once_the_module_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    """Django's own, for one: it would never be asked, as events call the function within it."""
    module = ModuleType("shop_sockets")
    monkeypatch.setitem(sys.modules, "shop_sockets", module)

    def order(sid: str) -> None: ...

    order.__module__, order.__qualname__ = "shop_sockets", "order"
    marks.close(order)
    module.order = order  # type: ignore[attr-defined]
    marks.check_order()
    module.order = django_login_required(order)  # type: ignore[attr-defined]
    with pytest.raises(DecoratorOrderError, match=r"shop_sockets\.order has a decorator above"):
        marks.check_order()
    module.order = print  # type: ignore[attr-defined]
    marks.check_order()


def test_a_project_with_such_a_decorator_does_not_start(tmp_path: Path) -> None:
    app = tmp_path / "shop"
    app.mkdir()
    (app / "__init__.py").touch()
    (app / "sockets.py").write_text(
        "from django.contrib.auth.decorators import login_required\n"
        "from dtws_sio import sio\n"
        "@login_required\n"
        "@sio.event\n"
        "def order(sid): pass\n"
    )
    program = (
        f"import sys; sys.path.insert(0, {str(tmp_path)!r})\n"
        "import django; from django.conf import settings\n"
        "settings.configure(SECRET_KEY='x', INSTALLED_APPS=['dtws_sio', 'shop', 'django.contrib.auth',"
        " 'django.contrib.contenttypes'])\n"
        "django.setup()"
    )
    done = subprocess.run([sys.executable, "-c", program], text=True, capture_output=True, timeout=60, check=False)
    assert "DecoratorOrderError: shop.sockets.order has a decorator above" in done.stderr
