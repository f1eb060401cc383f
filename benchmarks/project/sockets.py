"""The two events that the load generator sends."""

from dtws_sio import sio


@sio.event
def echo(sid, data):
    sio.emit("echo", data, to=sid)


@sio.event
def broadcast(sid, data):
    sio.emit("broadcast", data)
