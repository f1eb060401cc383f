"""An Engine.IO server that sends back what it gets: python engine_echo.py PORT"""

import sys

from dtws_sio import runtime

runtime.patch()

import eventlet.wsgi  # noqa: E402

from dtws_sio.engine import Server  # noqa: E402

eio = Server(ping_interval=0.3, ping_timeout=0.2)


@eio.on("message")
def message(sid, data):
    eio.send(sid, data)


if __name__ == "__main__":
    listener = eventlet.listen(("127.0.0.1", int(sys.argv[1])), reuse_port=False)
    eventlet.wsgi.server(listener, eio.handle_request, log_output=False)
