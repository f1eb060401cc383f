"""A permission decorator of our own, made of one of the library's; for Django's permissions that has them all."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dtws_sio.exceptions import PermissionDeniedError
from dtws_sio.permissions import request_passes_test

from chat.models import Sanction
from chat.people import Person

if TYPE_CHECKING:
    from collections.abc import Callable

    from django.http import HttpRequest


def unless(kind: Sanction.Kind) -> Callable[[Any], Any]:
    """Let those pass who are not under a sanction of this kind; the others are told for how long."""

    def test(request: HttpRequest) -> bool:
        person = Person.of(request)
        sanction = person and Sanction.objects.of(person.id, kind)
        if sanction:
            raise PermissionDeniedError(sanction.text, code=sanction.get_kind_display())
        return True

    return request_passes_test(test)
