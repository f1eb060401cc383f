"""URLs of the project that the live tests drive."""

from django.urls import path
from playground import views

urlpatterns = [
    path("", views.home),
    path("pid/", views.pid),
    path("upload/", views.upload),
    path("file/", views.file),
    path("lives/<str:tag>/", views.lives),
    path("members/", views.members),
    path("emit/", views.emit),
    path("disconnect/", views.disconnect),
    path("bars/", views.bars),
    path("signals/", views.signals),
    path("signals/renew/", views.renew),
]
