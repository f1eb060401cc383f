"""URLs of the project that is attacked."""

from django.urls import path
from target import views

urlpatterns = [
    path("", views.home),
    path("large/", views.large),
    path("login/<str:name>/", views.login),
    path("held/", views.held),
]
