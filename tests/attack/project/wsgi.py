"""The WSGI application, as a user of dtws_sio writes it, but for shorter limits on slow requests."""

import os

import dtws_sio.engine.listener
import dtws_sio.gunicorn
from dtws_sio.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "settings")

dtws_sio.gunicorn.BODY_SECONDS = 1.0
dtws_sio.engine.listener.READER_SECONDS = 1.0

application = get_wsgi_application()
