"""The WSGI application, as a user of dtws_sio writes it."""

import os

from dtws_sio.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "settings")

application = get_wsgi_application()
