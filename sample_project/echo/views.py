"""The echo page."""

from __future__ import annotations

from django.views.generic import TemplateView

index = TemplateView.as_view(template_name="echo/index.html")
