"""The pages with progress bars, and the upload of a file to import."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.http import JsonResponse
from django.views.decorators.http import require_POST
from django.views.generic import TemplateView

from bars import uploads
from bars.forms import UploadForm
from bars.sockets import BARS

if TYPE_CHECKING:
    from django.http import HttpRequest, HttpResponse

one = TemplateView.as_view(template_name="bars/one.html")
many = TemplateView.as_view(template_name="bars/many.html", extra_context={"bars": range(BARS)})
engines = TemplateView.as_view(template_name="bars/engines.html")
imports = TemplateView.as_view(template_name="bars/import.html")
task = TemplateView.as_view(template_name="bars/task.html")


@require_POST
def upload(request: HttpRequest) -> HttpResponse:
    """Keep a file, and answer with the token that the event `import` takes."""
    form = UploadForm(request.POST, request.FILES)
    if not form.is_valid():
        return JsonResponse({"errors": form.errors}, status=400)
    return JsonResponse({"upload": uploads.keep(form.cleaned_data["file"])})
