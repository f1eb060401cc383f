"""
What projects test with.

    class OrderTests(ClientTestMixin, TestCase):
        def test_an_order_is_confirmed(self):
            client = self.socketio(user=self.user)
            client.connect("/shop")
            self.assertEqual(client.call("order", 7, namespace="/shop"), {"ok": True})
            self.assertEqual(client.received(), [Event("ordered", (7,), "/shop")])

    with SignalQueue() as queue:
        save_an_article()
    self.assertEqual(queue.emits_to(article), [Emit("article.changed", {"title": "New"})])
    queue.execute()

`SocketIOClient` talks to this process's `sio` without a network, and handlers run in the thread of the test: they see
its transaction, and have ended when `emit` returns. `SocketIOLiveServerTestCase` serves real browsers instead.

Source: rows D-85, S-52 and W-F19.
"""

from dtws_sio.testing.cases import ClientTestMixin, SocketIOLiveServerTestCase
from dtws_sio.testing.client import Event, RefusedError, SocketIOClient
from dtws_sio.testing.recording import Emit, SignalQueue

__all__ = [
    "ClientTestMixin",
    "Emit",
    "Event",
    "RefusedError",
    "SignalQueue",
    "SocketIOClient",
    "SocketIOLiveServerTestCase",
]
