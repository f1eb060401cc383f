"""What the announce view takes."""

from __future__ import annotations

from django import forms

from chat.models import Room


class AnnouncementForm(forms.Form):
    """An announcement, to one room or to all."""

    text = forms.CharField(max_length=500)
    room = forms.ModelChoiceField(Room.objects, to_field_name="slug", required=False, empty_label="All rooms")
