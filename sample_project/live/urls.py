"""URLs of the pages with signals."""

from __future__ import annotations

from django.urls import path

from live import views

app_name = "live"
urlpatterns = [
    path("", views.index, name="index"),
    path("articles/<int:pk>/", views.article, name="article"),
    path("form/", views.form, name="form"),
    path("built-in/", views.builtin, name="builtin"),
    path("task/", views.task, name="task"),
    path("report.txt", views.report, name="report"),
]
