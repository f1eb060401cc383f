"""URLs of the pages with progress bars."""

from __future__ import annotations

from django.urls import path

from bars import views

app_name = "bars"
urlpatterns = [
    path("", views.one, name="one"),
    path("many/", views.many, name="many"),
    path("engines/", views.engines, name="engines"),
    path("import/", views.imports, name="import"),
    path("import/upload/", views.upload, name="upload"),
    path("task/", views.task, name="task"),
]
