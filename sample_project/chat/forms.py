"""What the views take."""

from __future__ import annotations

import unicodedata

from django import forms
from django.contrib.auth import get_user_model

from chat.models import Room


class AnnouncementForm(forms.Form):
    """An announcement, to one room or to all."""

    text = forms.CharField(max_length=500)
    room = forms.ModelChoiceField(Room.objects, to_field_name="slug", required=False, empty_label="All rooms")


class GuestForm(forms.Form):
    """The name of a guest, which looks the same to everybody and belongs to no account."""

    name = forms.CharField(max_length=30, widget=forms.TextInput({"autocomplete": "nickname"}))

    def clean_name(self) -> str:
        """Return the name as the others will see it."""
        name = unicodedata.normalize("NFKC", self.cleaned_data["name"]).strip()
        if not name.isprintable():
            raise forms.ValidationError("A name cannot hold line breaks or invisible characters.")
        if get_user_model().objects.filter(username__iexact=name).exists():
            raise forms.ValidationError(f"“{name}” has an account here. Choose another name, or sign in.")
        return name
