"""Settings of the project that the live tests drive; LIVE_SETTINGS in the environment, a JSON object, replaces any."""

import json
import os

SECRET_KEY = "live"
DEBUG = True
ALLOWED_HOSTS = ["127.0.0.1", "localhost"]
INSTALLED_APPS = ["dtws_sio", "django.contrib.staticfiles", "playground"]
MIDDLEWARE = ["django.middleware.common.CommonMiddleware"]
TEMPLATES = [{"BACKEND": "django.template.backends.django.DjangoTemplates", "APP_DIRS": True}]
ROOT_URLCONF = "urls"
WSGI_APPLICATION = "wsgi.application"
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
STATIC_URL = "/static/"
USE_TZ = True
DTWS_SIO: dict[str, object] = {}

globals().update(json.loads(os.environ.get("LIVE_SETTINGS", "{}")))
