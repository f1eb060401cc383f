"""Forms that are validated as one types; row S-15."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from django import forms

from dtws_sio.signals import is_authenticated, registry, validate_form
from tests.signals import call

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.page import Page


@pytest.fixture
def order_form(registered: Any) -> type[forms.Form]:
    @validate_form("shop.validate")
    class OrderForm(forms.Form):
        item = forms.IntegerField(help_text="its number")
        sizes = forms.MultipleChoiceField(choices=[("S", "s"), ("M", "m")], required=False)
        end = forms.IntegerField(required=False)
        notes = forms.JSONField(required=False)

        def clean(self) -> None:
            if self.cleaned_data.get("end") == 13:
                raise forms.ValidationError("bad luck")

    return OrderForm


@pytest.mark.parametrize(
    ("data", "errors"),
    [
        ({"item": "5"}, {}),
        ({"item": 5, "sizes": ["S", "M"]}, {}),
        ([{"name": "item", "value": "5"}, {"name": "sizes", "value": "S"}, {"name": "sizes", "value": "M"}], {}),
        ({"item": "five"}, {"item": ["Enter a whole number."]}),
        ({}, {"item": ["This field is required."]}),
        ({"item": 1, "end": 13}, {"__all__": ["bad luck"]}),
        ({"item": 1, "notes": "9" * 5000}, {"notes": ["is not a value that can be used"]}),
    ],
)
def test_a_page_is_told_what_is_wrong_with_a_form_row_s_15(
    open_window: Callable[..., Page], order_form: type[forms.Form], data: Any, errors: Any
) -> None:
    result = {"valid": not errors, "errors": errors, "help_texts": {"item": "its number"}}
    assert call(open_window(), "shop.validate", form=data) == {"ok": True, "results": [result], "errors": []}


@pytest.mark.parametrize("data", ["x", 5, [{"value": 1}], {"item": {"a": 1}}, {"item": "\ud800"}], ids=ascii)
def test_what_is_no_form_is_an_error_of_the_call(
    open_window: Callable[..., Page], order_form: type[forms.Form], data: Any
) -> None:
    assert call(open_window(), "shop.validate", form=data)["errors"][0]["code"] == "invalid"


def test_it_has_a_name_and_permissions_like_any_signal(registered: Any) -> None:
    @validate_form(is_allowed_to=is_authenticated)
    class OrderForm(forms.Form):
        pass

    [found] = registry.connections("tests.test_signals_forms.OrderForm")
    assert found.is_allowed_to is is_authenticated
