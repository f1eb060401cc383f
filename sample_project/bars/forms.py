"""What the import takes."""

from __future__ import annotations

from django import forms
from django.core.validators import FileExtensionValidator

MAX_SIZE = 20_000_000
"""Bytes of a file."""


class UploadForm(forms.Form):
    """A price list."""

    file = forms.FileField(validators=[FileExtensionValidator(["csv"])])

    def clean_file(self) -> object:
        file = self.cleaned_data["file"]
        if file.size > MAX_SIZE:
            raise forms.ValidationError(f"A file has {MAX_SIZE:,} bytes at most; this one has {file.size:,}.")
        return file
