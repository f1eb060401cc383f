"""`manage.py runserver`, where `dtws_sio` stands above `django.contrib.staticfiles` in INSTALLED_APPS."""

from dtws_sio.devserver import Command

__all__ = ["Command"]
