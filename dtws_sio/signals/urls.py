"""
The URL at which pages renew their tokens; include it in the project's.

    path("signals/", include("dtws_sio.signals.urls"))
"""

from django.urls import path

from dtws_sio.signals.views import renew

app_name = "dtws_sio"

urlpatterns = [path("window/", renew, name="window")]
