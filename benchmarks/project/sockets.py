"""The events that the load generators send."""

from dtws_sio import sio


@sio.event
def echo(sid, data):
    sio.emit("echo", data, to=sid)


@sio.event
def broadcast(sid, data):
    sio.emit("broadcast", data)


@sio.event
def join(sid, room):
    sio.enter_room(sid, room)


@sio.event
def room(sid, name, data):
    sio.emit("room", data, room=name)


@sio.event
def flood(sid, kilobytes):
    """Send more than a client that does not read can take."""
    for _ in range(kilobytes):
        sio.emit("flood", "x" * 1000, to=sid)


@sio.event
def nap(sid, seconds):
    sio.sleep(seconds)
