"""The names of clients."""

from __future__ import annotations

import re

import pytest

from dtws_sio import sids


def test_each_is_another_and_is_known_for_what_it_is() -> None:
    made = {sids.make() for _ in range(1000)}
    assert len(made) == 1000
    assert all(re.fullmatch(r"[\w-]{20}", each, re.ASCII) and sids.is_sid(each) for each in made)


@pytest.mark.parametrize(
    "room",
    ["", "novels", "general-discussion-1", "a" * 20, "é" * 20, sids.make()[:-1], sids.make() + "x", 7, None, ("a",)],
    ids=range(10),
)
def test_other_rooms_are_none(room: object) -> None:
    assert not sids.is_sid(room)


def test_one_that_was_changed_is_none() -> None:
    sid = sids.make()
    assert not sids.is_sid(("A" if sid[0] != "A" else "B") + sid[1:])
