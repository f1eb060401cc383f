"""What `manage.py test` runs in this project: that it runs in an ordinary process."""

import sys

from django.test import SimpleTestCase

from dtws_sio import runtime, sio


class OrdinaryProcess(SimpleTestCase):
    """The test runner is neither patched nor a server."""

    def test_nothing_is_patched_and_nothing_serves(self) -> None:
        assert "eventlet" not in sys.modules
        assert runtime.current() == "threading"
        assert not sio.serving
