"""What is read live."""

from __future__ import annotations

from django.db import models
from django.urls import reverse


class Article(models.Model):
    """A text that changes in every window that shows it, as soon as somebody saves it."""

    title = models.CharField(max_length=120)
    text = models.TextField(max_length=10_000)
    changed = models.DateTimeField(auto_now=True)

    class Meta:
        ordering = ("pk",)

    def __str__(self) -> str:
        return self.title

    def get_absolute_url(self) -> str:
        """Return the address of its page."""
        return reverse("live:article", args=[self.pk])
