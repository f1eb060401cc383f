"""
Django forms, REST framework's serializers and pydantic's models as annotations.

A form is filled in as a page's `<form>` would have posted it, whether its values come as an object or as the list that
jQuery's `serializeArray` makes. Bytes are uploads; a file's name alone is none.

REST framework and pydantic are never imported here: whoever annotates with their classes has done so.
"""

from __future__ import annotations

import mimetypes
import sys
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from django import forms
from django.core.exceptions import SuspiciousFileOperation, ValidationError
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import DataError
from django.utils.datastructures import MultiValueDict

from dtws_sio import json
from dtws_sio.validation.refusals import Findings, RefusedError, call, mismatch, refused_by
from dtws_sio.validation.text import check_texts

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from dtws_sio.validation.refusals import Check, Seen

UNKNOWN_TYPE: Final = "application/octet-stream"
"""Media type of an upload whose name tells none."""

UNFIT: Final = (UnicodeError, OverflowError, DataError)
"""What forms and serializers raise where they ask the database about a value that it cannot hold."""

UNFIT_MESSAGE: Final = "is not a value that can be used"
"""Names neither the database nor its limits."""


def check_for(annotation: type) -> Check | None:
    """Make the check of a form, a serializer or a model; None for other classes."""
    if issubclass(annotation, forms.BaseForm):
        return partial(_form, annotation)
    if _descends(annotation, "rest_framework.serializers", "BaseSerializer"):
        return partial(_serializer, annotation)
    if _descends(annotation, "pydantic", "BaseModel"):
        return partial(_model, annotation)
    return None


def _descends(annotation: type, module: str, name: str) -> bool:
    base = getattr(sys.modules.get(module), name, None)
    return isinstance(base, type) and issubclass(annotation, base)


def _form(form_class: type[forms.BaseForm], value: Any, seen: Seen) -> Any:
    if not isinstance(value, dict):
        raise mismatch("an object", value)
    return _valid(_filled_in(form_class, value.items()))


def _serializer(serializer_class: Callable[..., Any], value: Any, seen: Seen) -> Any:
    check_texts(value)
    serializer = serializer_class(data=value)
    try:
        if serializer.is_valid():
            return serializer
    except UNFIT as error:
        raise RefusedError(UNFIT_MESSAGE) from error
    raise refused_by(serializer.errors)


def _model(model_class: Any, value: Any, seen: Seen) -> Any:
    check_texts(value)
    return call(model_class.model_validate, value)


class SerializedForm:
    """
    A form that a page has serialised; the handler gets it bound and valid.

    It takes an object, or a list of `{"name": ..., "value": ...}` as jQuery's `serializeArray` makes. Repeated names
    and lists are several values. A file is `{"name": "a.png", "content": bytes}`, or bytes alone. ValueError is raised
    for what is no form, and for a form that is not valid.

        def on_profile(self, sid, form: SerializedForm(ProfileForm)): ...

    Args:
        form_class: The form.
        allow_none: Whether null gives the form unbound.
        args: Further arguments of the form, after its data and files.
        kwargs: Further keyword arguments of the form.

    Source: rows S-23 and W-F18.
    """

    def __init__(self, form_class: type[forms.BaseForm], allow_none: bool = True, *args: Any, **kwargs: Any) -> None:
        self.form_class = form_class
        self.allow_none = allow_none
        self.args = args
        self.kwargs = kwargs

    def __call__(self, value: Any) -> Any:
        """Give the form."""
        form = self.bind(value)
        return _valid(form) if form.is_bound else form

    def bind(self, value: Any) -> Any:
        """Give the form as it was filled in, valid or not; ValueError is raised for what is no form."""
        if value is None and self.allow_none:
            return self.form_class(None, None, *self.args, **self.kwargs)
        if isinstance(value, dict):
            pairs: Iterable[tuple[str, Any]] = value.items()
        elif isinstance(value, list):
            pairs = _pairs(value)
        else:
            raise mismatch("an object, or a list of names and values", value)
        return _filled_in(self.form_class, pairs, *self.args, **self.kwargs)

    def __repr__(self) -> str:
        return f"SerializedForm({self.form_class.__name__})"


def _pairs(entries: list[Any]) -> list[tuple[str, Any]]:
    findings, pairs = Findings(), []
    for index, entry in enumerate(entries):
        if isinstance(entry, dict) and isinstance(entry.get("name"), str) and "value" in entry:
            pairs.append((entry["name"], entry["value"]))
        else:
            findings.add(index, 'should be an object with a "name" and a "value"')
    findings.settle()
    return pairs


def _filled_in(form_class: type[forms.BaseForm], pairs: Iterable[tuple[str, Any]], *args: Any, **kwargs: Any) -> Any:
    data: MultiValueDict[str, Any] = MultiValueDict()
    files: MultiValueDict[str, Any] = MultiValueDict()
    findings = Findings()
    fields: dict[str, forms.Field] = getattr(form_class, "base_fields", {})
    for name, value in pairs:
        field = fields.get(name)
        for each in value if isinstance(value, list) and not isinstance(field, forms.JSONField) else [value]:
            try:
                _put(name, each, field, data, files)
            except RefusedError as refused:
                findings.add_all(name, refused)
    findings.settle()
    return form_class(data, files, *args, **kwargs)


def _valid(form: Any) -> Any:
    if not is_valid(form):
        raise refused_by({name: [each["message"] for each in all_of] for name, all_of in _errors(form)})
    return form


def is_valid(form: forms.BaseForm) -> bool:
    """Tell whether a form is valid; a value that the checks of its field cannot bear is an error like others."""
    try:
        return form.is_valid()
    except (ValueError, *UNFIT) as error:
        unfit: list[str | None] = [*_unfit_fields(form)]
        if not unfit and not isinstance(error, UNFIT):
            raise  # a fault of what the form itself makes of its values
        for name in unfit or [None]:
            form.add_error(name, UNFIT_MESSAGE)
        return False


def _unfit_fields(form: forms.BaseForm) -> Iterator[str]:
    """Find those fields, such as a JSON field with a number of 5,000 digits."""
    for name, field in form.fields.items():
        try:
            field.clean(form[name].data)
        except ValidationError:
            continue
        except (ValueError, *UNFIT):
            yield name


def _errors(form: forms.BaseForm) -> Iterable[tuple[str, list[dict[str, str]]]]:
    return form.errors.get_json_data().items()


def _put(name: str, value: Any, field: forms.Field | None, data: Any, files: Any) -> None:
    """Put one value where a posted form would have it; null is a field that was left out."""
    if value is None:
        return
    if isinstance(value, bytes):
        files.appendlist(name, _upload(name, value))
    elif isinstance(field, forms.JSONField):
        data.appendlist(name, _as_json(value))
    elif isinstance(value, dict) and isinstance(value.get("content"), bytes) and isinstance(value.get("name"), str):
        files.appendlist(name, _upload(value["name"], value["content"]))
    elif isinstance(value, (dict, list)):
        raise mismatch("a plain value", value)
    elif isinstance(field, forms.IntegerField) and isinstance(value, (int, float)) and not isinstance(value, bool):
        data.appendlist(name, value)  # text would be read with the separators of the client's language
    else:
        check_texts(value)
        data.appendlist(name, str(value))


def _as_json(value: Any) -> str:
    """Give what a page would have in a JSON field: text is JSON already, whether or not it is any good."""
    if not isinstance(value, str):
        check_texts(value)
        return str(call(json.dumps, value))
    try:
        read = json.loads(value)
    except ValueError:
        read = value  # the field says so itself
    check_texts(read)
    return value


def _upload(name: str, content: bytes) -> SimpleUploadedFile:
    bare = "".join(filter(str.isprintable, name.replace("\\", "/").rpartition("/")[2]))
    try:
        return SimpleUploadedFile(bare, content, mimetypes.guess_type(bare)[0] or UNKNOWN_TYPE)
    except SuspiciousFileOperation as error:
        raise mismatch("the name of a file", name) from error
