"""
Settings of the project that is attacked: those of a new project, with times short enough for tests.

ATTACK_DATABASE names the database file; ATTACK_SETTINGS, a JSON object, replaces keys of DTWS_SIO.
"""

import json
import os

SECRET_KEY = "attack"
DEBUG = False
ALLOWED_HOSTS = ["127.0.0.1"]
INSTALLED_APPS = [
    "dtws_sio",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "target",
]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
]
ROOT_URLCONF = "urls"
WSGI_APPLICATION = "wsgi.application"
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": os.environ["ATTACK_DATABASE"]}}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
USE_TZ = True
DTWS_SIO: dict[str, object] = {
    "PING_INTERVAL": 1.0,
    "PING_TIMEOUT": 1.0,
    "CONNECT_TIMEOUT": 1.5,
    "COMPRESSION": True,
    **json.loads(os.environ.get("ATTACK_SETTINGS", "{}")),
}
