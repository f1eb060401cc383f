"""URLs of the project with users."""

from django.contrib.auth import views as auth
from django.urls import path

from people import views

urlpatterns = [
    path("pid/", views.pid),
    path("me/", views.me),
    path("run/", views.run),
    path("login/", auth.LoginView.as_view(next_page="/me/")),
    path("logout/", auth.LogoutView.as_view(next_page="/pid/")),
    path("password/", auth.PasswordChangeView.as_view(success_url="/me/")),
]
