"""The package's public names, and what importing it does not load."""

from __future__ import annotations

import subprocess
import sys

import pytest

import dtws_sio


@pytest.mark.parametrize(
    "module",
    [
        "dtws_sio",
        "dtws_sio.gunicorn",
        "dtws_sio.runtime",
        "dtws_sio.launch",
        "dtws_sio.exceptions",
        "dtws_sio.__main__",
    ],
)
def test_importing_it_loads_nothing_that_must_be_patched_first(module: str) -> None:
    """Pitfall 7. In a process of its own, because pytest's has loaded everything."""
    code = f"import sys, {module}; print(*{{name.partition('.')[0] for name in sys.modules}})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "dtws_sio" in done.stdout.split()
    assert set(done.stdout.split()) & {"django", "socketio", "engineio", "eventlet", "gevent", "orjson"} == set()


@pytest.mark.parametrize("name", dtws_sio.__all__)
def test_every_public_name_exists(name: str) -> None:
    assert getattr(dtws_sio, name) is not None
    assert name in dir(dtws_sio)


def test_the_public_names_are_the_things_themselves() -> None:
    from dtws_sio.dispatch import NO_ACK, concurrent
    from dtws_sio.exceptions import DtwsSioError, EventError
    from dtws_sio.limits import rate_limit
    from dtws_sio.namespaces import Namespace
    from dtws_sio.server import sio

    assert (dtws_sio.NO_ACK, dtws_sio.concurrent) == (NO_ACK, concurrent)
    assert (dtws_sio.DtwsSioError, dtws_sio.EventError) == (DtwsSioError, EventError)
    assert (dtws_sio.Namespace, dtws_sio.sio) == (Namespace, sio)
    assert dtws_sio.rate_limit is rate_limit


def test_a_name_that_does_not_exist_is_an_attribute_error_that_names_those_that_do() -> None:
    with pytest.raises(AttributeError, match=r"no attribute 'socketio'; public names: .*Namespace.*sio"):
        dtws_sio.socketio  # noqa: B018


def test_the_application_can_be_imported_before_django_is_set_up() -> None:
    """As `wsgi.py` is, in which `get_wsgi_application` only then sets it up."""
    program = "from django.conf import settings; settings.configure(); import dtws_sio.wsgi"
    subprocess.run([sys.executable, "-c", program], check=True)
