"""
Settings of the sample project.

What dtws_sio needs is marked with "dtws_sio:"; the rest is an ordinary Django project. These environment variables
change how it runs: DEBUG, SECRET_KEY, ALLOWED_HOSTS, CSRF_TRUSTED_ORIGINS, DATABASE_URL and REDIS_URL.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from django.core.exceptions import ImproperlyConfigured

from sample import HAS_CELERY

BASE_DIR = Path(__file__).resolve().parent.parent


def names(variable: str) -> list[str]:
    """Split an environment variable at its commas."""
    return [name.strip() for name in os.environ.get(variable, "").split(",") if name.strip()]


DEBUG = os.environ.get("DEBUG", "1").lower() in {"1", "true", "yes", "on"}
ALLOWED_HOSTS = names("ALLOWED_HOSTS")
"""Empty means localhost while DEBUG is on, and nobody when it is off. dtws_sio: also decides who may open a socket."""
CSRF_TRUSTED_ORIGINS = names("CSRF_TRUSTED_ORIGINS")
"""dtws_sio: pages from these origins may open a socket too."""

SECRET_KEY = os.environ.get("SECRET_KEY", "for-development-only-" + "x" * 40 if DEBUG else "")
if not SECRET_KEY:
    raise ImproperlyConfigured(
        "SECRET_KEY is not set and DEBUG is off; set it to a long random text, for instance the output of "
        "python -c 'import secrets; print(secrets.token_urlsafe(50))'"
    )

INSTALLED_APPS = [
    "dtws_sio",  # dtws_sio: above staticfiles, so that plain runserver speaks Socket.IO as well
    "home",
    "echo",
    "chat",
    "bars",
    "live",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "home.middleware.ContentSecurityPolicyMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
]

ROOT_URLCONF = "sample.urls"
WSGI_APPLICATION = "sample.wsgi.application"

SQLITE: dict[str, Any] = {
    "ENGINE": "django.db.backends.sqlite3",
    "NAME": BASE_DIR / "db.sqlite3",
    "OPTIONS": {
        "timeout": 20,
        "transaction_mode": "IMMEDIATE",
        "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;",
    },
}
"""One file, no server. WAL lets processes read while one writes; a writer waits up to 20 seconds for another."""


def database() -> dict[str, Any]:
    """Return the database named by DATABASE_URL, such as postgres://user:password@localhost/sample, else SQLite."""
    if "DATABASE_URL" not in os.environ:
        return SQLITE
    import dj_database_url

    return dict(dj_database_url.config())


DATABASES = {"default": database()}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in (
        "UserAttributeSimilarityValidator",
        "MinimumLengthValidator",
        "CommonPasswordValidator",
        "NumericPasswordValidator",
    )
]
LOGIN_URL = "login"
LOGIN_REDIRECT_URL = "chat:index"
LOGOUT_REDIRECT_URL = "home"

LANGUAGE_CODE = "en"
TIME_ZONE = "UTC"
USE_TZ = True

STATIC_URL = "static/"
STATIC_ROOT = BASE_DIR / "staticfiles"
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {
        "BACKEND": "django.contrib.staticfiles.storage."
        + ("StaticFilesStorage" if DEBUG else "ManifestStaticFilesStorage")
    },
}

MEDIA_ROOT = BASE_DIR / "media"
"""Uploads that wait for their import; nothing in it is served."""

DTWS_SIO: dict[str, Any] = {"QUEUES": {"reports": "celery" if HAS_CELERY else "threads"}}
"""dtws_sio: every key is optional. The queue is that of one signal in live/signals.py."""
if "REDIS_URL" in os.environ:
    DTWS_SIO["MESSAGE_QUEUE"] = os.environ["REDIS_URL"]
    CELERY_BROKER_URL = os.environ["REDIS_URL"]
    CELERY_TASK_IGNORE_RESULT = True
