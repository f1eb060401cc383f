"""Handlers of a project without users and sessions."""

from typing import Any

from dtws_sio import Namespace, rate_limit, sio
from dtws_sio.permissions import login_required


class Hall(Namespace):
    """Where strangers see each other."""

    tracks_presence = True

    def on_enter(self, sid: str, room: str) -> list[dict[str, Any]]:
        self.enter_room(sid, room)
        return self.present(room)

    @rate_limit("2/h")
    def on_vote(self, sid: str) -> str:
        return "voted"

    def on_who(self, sid: str) -> list[Any]:
        user = self.user(sid)
        return [user.is_authenticated, user.is_anonymous, user.is_staff, user.has_perm("a.b"), user.get_username()]

    @login_required
    def on_greet(self, sid: str) -> str:
        return "hello"


sio.register_namespace(Hall("/hall"))
