"""Handlers of the project with users of another kind."""

from dtws_sio import Namespace, sio
from dtws_sio.permissions import login_required


@login_required
class Deck(Namespace):
    """For sailors."""

    tracks_presence = True

    def on_who(self, sid: str) -> str:
        return str(self.user(sid).get_username())


sio.register_namespace(Deck("/deck"))
