"""
Who is here: in each room of each namespace, across tabs, processes and hosts.

`rolls` says what is kept and keeps it for one process, `redis` for all that a Redis joins; `Presence` keeps it up to
date and tells the rooms.
"""

from __future__ import annotations

from dtws_sio.presence.keeper import Presence, rolls_for
from dtws_sio.presence.rolls import JOINED, LEFT, Change, LocalRolls, Member, Rolls, Seat

__all__ = ["JOINED", "LEFT", "Change", "LocalRolls", "Member", "Presence", "Rolls", "Seat", "rolls_for"]
