"""URLs of the sample project. The Socket.IO path is not here: it is answered in front of Django, see wsgi.py."""

from __future__ import annotations

from django.contrib import admin
from django.contrib.staticfiles.urls import staticfiles_urlpatterns
from django.urls import include, path

urlpatterns = [
    path("", include("home.urls")),
    path("echo/", include("echo.urls")),
    path("chat/", include("chat.urls")),
    path("progress/", include("bars.urls")),
    path("live/", include("live.urls")),
    path("signals/", include("dtws_sio.signals.urls")),  # dtws_sio: where pages renew their tokens
    path("admin/", admin.site.urls),
    *staticfiles_urlpatterns(),  # while DEBUG is on, under gunicorn too
]
