"""python-socketio as it comes, on eventlet: the server to compare with. usage: stock.py PORT"""

import eventlet

eventlet.monkey_patch()

import sys  # noqa: E402

import eventlet.wsgi  # noqa: E402
import socketio  # noqa: E402

sio = socketio.Server(async_mode="eventlet")


@sio.event
def echo(sid, data):
    sio.emit("echo", data, to=sid)


@sio.event
def broadcast(sid, data):
    sio.emit("broadcast", data)


@sio.event
def join(sid, name):
    sio.enter_room(sid, name)


@sio.event
def room(sid, name, data):
    sio.emit("room", data, room=name)


eventlet.wsgi.server(
    eventlet.listen(("127.0.0.1", int(sys.argv[1])), backlog=1024),
    socketio.WSGIApp(sio),
    log_output=False,
    max_size=20000,
)
