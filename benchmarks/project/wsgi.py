"""Served by gunicorn with dtws_sio's worker."""

import os

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "project.settings")

from dtws_sio.wsgi import get_wsgi_application

application = get_wsgi_application()
