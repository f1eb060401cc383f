"""Besides Socket.IO only the counts are served."""

from django.urls import path

from project.counts import counts

urlpatterns = [path("counts", counts)]
