"""Django settings of the unit tests: the app, an SQLite database in memory, and nothing else."""

SECRET_KEY = "tests"
INSTALLED_APPS = [
    "dtws_sio",
    "django.contrib.staticfiles",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
]
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}}
STATIC_URL = "/static/"
ALLOWED_HOSTS = ["testserver", "example.com"]
TEMPLATES = [{"BACKEND": "django.template.backends.django.DjangoTemplates", "OPTIONS": {}}]
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]  # the default one takes 0.3 s for each user
USE_TZ = True
DTWS_SIO: dict[str, object] = {}
