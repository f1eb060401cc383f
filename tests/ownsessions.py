"""A store of sessions as a project may have one of its own: it does not say when its sessions end."""

from __future__ import annotations

import time
from typing import Any, ClassVar

from django.contrib.sessions.backends.base import CreateError, SessionBase, UpdateError


class SessionStore(SessionBase):
    """Keeps sessions in memory, each for SESSION_COOKIE_AGE after it was saved."""

    kept: ClassVar[dict[str, tuple[float, dict[str, Any]]]] = {}

    def exists(self, session_key: str) -> bool:
        return session_key in self.kept

    def create(self) -> None:
        self._session_key = self._get_new_session_key()  # type: ignore[attr-defined]
        self.save(must_create=True)
        self.modified = True

    def save(self, must_create: bool = False) -> None:
        key = self.session_key
        if key is None:
            self.create()
            return
        if must_create == (key in self.kept):
            raise CreateError if must_create else UpdateError
        data = dict(self._get_session(no_load=must_create))  # type: ignore[attr-defined]
        self.kept[key] = time.time() + self.get_expiry_age(), data

    def delete(self, session_key: str | None = None) -> None:
        self.kept.pop(str(session_key or self.session_key), None)

    def load(self) -> dict[str, Any]:
        ends, data = self.kept.get(str(self.session_key), (0.0, {}))
        if ends > time.time():
            return data
        self._session_key = None
        return {}
