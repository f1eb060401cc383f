"""The built files under Django's manifest storage, in a project of its own; rows D-01, D-07 and J-01, pitfall 14."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

import pytest

from tests.packaging.checkouts import BROWSER_FILES, ROOT, built_files, output_of

if TYPE_CHECKING:
    from pathlib import Path

STORAGES = {
    "manifest storage": "django.contrib.staticfiles.storage.ManifestStaticFilesStorage",
    "manifest storage that rewrites imports": "site_storage.RewritesImports",
}

FILES = {
    "site_settings.py": """
from pathlib import Path
SECRET_KEY = "for this test only"
INSTALLED_APPS = ["dtws_sio", "django.contrib.staticfiles"]
STATIC_URL = "static/"
STATIC_ROOT = Path(__file__).parent / "collected"
STORAGES = {{"staticfiles": {{"BACKEND": "{storage}"}}}}
TEMPLATES = [{{"BACKEND": "django.template.backends.django.DjangoTemplates"}}]
""",
    "site_storage.py": """
from django.contrib.staticfiles.storage import ManifestStaticFilesStorage
class RewritesImports(ManifestStaticFilesStorage):
    support_js_module_import_aggregation = True
""",
    "render.py": """
import django
django.setup()
from django.template import Context, Template
print(Template("{{% load dtws_sio %}}{{% dtws_sio_scripts %}}").render(Context()))
""",
}


@pytest.mark.parametrize("storage", STORAGES.values(), ids=STORAGES)
def test_collectstatic_succeeds_and_the_tag_links_the_hashed_client(tmp_path: Path, storage: str) -> None:
    assert built_files(ROOT / "dtws_sio") >= BROWSER_FILES, "the browser files are not built: pip install -e ."
    for name, text in FILES.items():
        (tmp_path / name).write_text(text.format(storage=storage))
    env = {"DJANGO_SETTINGS_MODULE": "site_settings", "PYTHONPATH": f"{tmp_path}:{ROOT}"}

    output_of(sys.executable, "-m", "django", "collectstatic", "--noinput", cwd=tmp_path, env=env)

    collected = tmp_path / "collected"
    hashed = json.loads((collected / "staticfiles.json").read_text())["paths"]
    client = (collected / hashed["dtws_sio/socket.io.min.js"]).read_text()
    assert client.rstrip().endswith(
        f"//# sourceMappingURL={hashed['dtws_sio/socket.io.min.js.map'].rpartition('/')[2]}"
    )
    assert (collected / hashed["dtws_sio/connect.js"]).is_file()
    html = output_of(sys.executable, "render.py", cwd=tmp_path, env=env)
    assert f'<script src="/static/{hashed["dtws_sio/socket.io.min.js"]}"></script>' in html
