"""Permissions on single objects."""

from typing import Any

from django.contrib.auth.backends import BaseBackend


class Owners(BaseBackend):
    """Whoever owns an article may change it."""

    def has_perm(self, user_obj: Any, perm: str, obj: Any = None) -> bool:
        return perm == "people.change_article" and obj is not None and obj.owner_id == user_obj.pk
