"""Settings of the benchmark project."""

SECRET_KEY = "benchmarks"
ALLOWED_HOSTS = ["127.0.0.1"]
INSTALLED_APPS = ["dtws_sio", "project"]
ROOT_URLCONF = "project.urls"
DATABASES: dict[str, object] = {}
