"""URLs of the start page and of signing in, up and out."""

from __future__ import annotations

from django.contrib.auth.views import LoginView, LogoutView
from django.urls import path

from home import views

urlpatterns = [
    path("", views.index, name="home"),
    path("sign-up/", views.sign_up, name="sign_up"),
    path("login/", LoginView.as_view(template_name="home/login.html", redirect_authenticated_user=True), name="login"),
    path("logout/", LogoutView.as_view(), name="logout"),
]
