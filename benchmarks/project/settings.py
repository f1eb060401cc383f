"""Settings of the benchmark project; the environment variable DTWS_SIO holds the setting of that name as JSON."""

import json
import os

SECRET_KEY = "benchmarks"
ALLOWED_HOSTS = ["*"]
INSTALLED_APPS = ["dtws_sio", "project"]
ROOT_URLCONF = "project.urls"
DATABASES: dict[str, object] = {}
DTWS_SIO = json.loads(os.environ.get("DTWS_SIO", "{}"))
