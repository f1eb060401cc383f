"""The view that renews the token of a page which has been open for long. Source: rows S-32 and W-F4."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from django.http import JsonResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_protect
from django.views.decorators.http import require_POST

from dtws_sio import json
from dtws_sio.exceptions import WindowTokenError
from dtws_sio.signals.tokens import verified

if TYPE_CHECKING:
    from django.http import HttpRequest

logger = logging.getLogger("dtws_sio.security")


@never_cache
@csrf_protect
@require_POST
def renew(request: HttpRequest) -> JsonResponse:
    """
    Give a page a new token for one that is too old, for the same window and the same topics.

    It takes and gives `{"window": token}`. A token that is not of this session and user is answered with 403 and
    `{"code", "message"}`; the page has to be loaded again then.
    """
    try:
        window = verified(_token(request), request, however_old=True)
    except WindowTokenError as error:
        logger.warning("a window's token was not renewed: %s", error.reason)
        return JsonResponse(error.answer, status=403)
    return JsonResponse({"window": window.sign()})


def _token(request: HttpRequest) -> Any:
    try:
        body = json.loads(request.body)
    except ValueError as error:
        raise WindowTokenError("what came is not JSON") from error
    return body.get("window") if isinstance(body, dict) else None
