"""URL of the echo page."""

from __future__ import annotations

from django.urls import path

from echo import views

app_name = "echo"
urlpatterns = [path("", views.index, name="index")]
