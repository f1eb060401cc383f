"""Forms that are validated while they are filled in. Source: row S-15."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from dtws_sio.signals.permissions import everyone
from dtws_sio.signals.registry import Queue, signal
from dtws_sio.validation import SerializedForm
from dtws_sio.validation.forms import is_valid

if TYPE_CHECKING:
    from collections.abc import Callable

    from django import forms

    from dtws_sio.signals.permissions import IsAllowed
    from dtws_sio.signals.windows import WindowInfo

T = TypeVar("T", bound="type[forms.BaseForm]")


def validate_form(
    path: str | None = None, /, is_allowed_to: IsAllowed = everyone, queue: Queue | None = None
) -> Callable[[T], T]:
    """
    Connect a signal that tells a page what is wrong with a form; a decorator for the form's class.

        @validate_form("shop.validate_order")
        class OrderForm(forms.Form): ...

    The page sends the form's fields as `form`, as an object or as the list that `serializeArray` makes. The answer is
    `{"valid": bool, "errors": {field: [message]}, "help_texts": {field: text}}`; errors that belong to no field stand
    below "__all__". Nothing is saved.

    Args:
        path: The name of the signal; module and name of the class by default.
        is_allowed_to: Who may call it from a page.
        queue: The queue that it runs in.

    Raises:
        RegistrationError: As `signal` does.
    """

    def connect(form_class: T) -> T:
        def validate(window_info: WindowInfo, form: Any) -> dict[str, Any]:
            return {
                "valid": is_valid(form),
                "errors": {name: list(map(str, messages)) for name, messages in form.errors.items()},
                "help_texts": {name: str(field.help_text) for name, field in form.fields.items() if field.help_text},
            }

        validate.__annotations__ = {"form": SerializedForm(form_class).bind}
        signal(path or f"{form_class.__module__}.{form_class.__name__}", is_allowed_to, queue)(validate)
        return form_class

    return connect
