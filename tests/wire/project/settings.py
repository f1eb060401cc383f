"""Settings of the project that the tests of the wire rules drive. No ping comes while a test runs."""

SECRET_KEY = "wire"
DEBUG = False
ALLOWED_HOSTS = ["127.0.0.1"]
INSTALLED_APPS = ["dtws_sio", "wired"]
ROOT_URLCONF = "urls"
WSGI_APPLICATION = "wsgi.application"
USE_TZ = True
DTWS_SIO: dict[str, object] = {
    "PING_INTERVAL": 20.5,
    "PING_TIMEOUT": 2.25,
    "MAX_PAYLOAD": 1_000_000,
    "ALLOWED_ORIGINS": ["http://friend.test"],
}
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"format": "%(levelname)s %(name)s: %(message)s"}},
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "line"}},
    "loggers": {"dtws_sio": {"handlers": ["console"], "level": "WARNING", "propagate": False}},
}
