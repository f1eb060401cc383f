"""URLs of the live tests of signals."""

from django.contrib.auth.views import LoginView, LogoutView
from django.urls import include, path
from playground.views import pid

from watchers import views

urlpatterns = [
    path("pid/", pid),
    path("login/", LoginView.as_view(template_name="watchers/login.html", next_page="/page/")),
    path("logout/", LogoutView.as_view(next_page="/page/")),
    path("page/", views.page),
    path("trigger/", views.trigger_one),
    path("rights/", views.rights),
    path("signals/", include("dtws_sio.signals.urls")),
]
