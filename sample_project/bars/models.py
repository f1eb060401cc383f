"""What is imported."""

from __future__ import annotations

from django.db import models


class Product(models.Model):
    """A line of a price list."""

    sku = models.CharField("article number", max_length=40, unique=True)
    name = models.CharField(max_length=200)
    price = models.DecimalField(max_digits=10, decimal_places=2)

    class Meta:
        ordering = ("sku",)

    def __str__(self) -> str:
        return f"{self.sku}: {self.name}"
