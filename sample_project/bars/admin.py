"""The imported products in the admin."""

from __future__ import annotations

from django.contrib import admin

from bars.models import Product


@admin.register(Product)
class ProductAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    """Products, to look at."""

    list_display = ("sku", "name", "price")
    search_fields = ("sku", "name")
    show_full_result_count = False
