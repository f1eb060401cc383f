"""What pages send, as forms."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django import forms
from django.utils import timezone
from dtws_sio.signals import validate_form

if TYPE_CHECKING:
    import datetime


@validate_form("live.check_booking")
class BookingForm(forms.Form):
    """A table in the garden. The page has it checked while it is filled in: that is the decorator."""

    name = forms.CharField(max_length=60)
    email = forms.EmailField(label="E-mail")
    day = forms.DateField(widget=forms.DateInput(attrs={"type": "date"}))
    seats = forms.IntegerField(min_value=1, max_value=6, help_text="Six at most.")

    def clean_name(self) -> str:
        name: str = self.cleaned_data["name"]
        if name.strip().lower() == "nobody":
            raise forms.ValidationError("Nobody may not book a table.")
        return name

    def clean_day(self) -> datetime.date:
        day: datetime.date = self.cleaned_data["day"]
        if day < timezone.localdate():
            raise forms.ValidationError("That day is over.")
        return day


class FileForm(forms.Form):
    """A file, which travels as bytes."""

    file = forms.FileField()
