"""The WSGI application: Socket.IO at DTWS_SIO["PATH"], Django for everything else."""

from __future__ import annotations

import os

from dtws_sio.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "sample.settings")

application = get_wsgi_application()
