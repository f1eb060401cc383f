"""
The arguments of handlers, validated by their annotations.

`make_converter` looks at a handler once, when it is registered, and gives a `Converter`, or None where no annotation
asks for anything. A converter gives new arguments, or raises `dtws_sio.exceptions.ValidationError`, which names each
field that is wrong by its dotted path: the parameter's name, then what is inside, as in "order.items.0.name".

`make_named_converter` does the same for functions that are called with arguments by name.

What annotations mean:

* Nothing, `Any`, `object`, protocols, type variables, and names that cannot be resolved: the value passes as it is.
* `str`, `int`, `float`, `bool`, `None`: exactly JSON's. "12" is no int, `true` is no int, "false" is no bool; a float
  takes whole numbers too, and becomes one. `bytes` is a binary attachment.
* `datetime`, `date`, `time`, `timedelta`, `UUID`: text of the form that Django's JSON encoder writes. `Decimal`: text
  or a number.
* `Literal` and Enum classes: one of the values.
* `list`, `set`, `tuple`, `dict` and their abstract relatives, with or without the types of their items.
* Unions: the first member, in the order written, that the value fits.
* Dataclasses and TypedDicts: an object with these fields; missing and unknown ones are refused.
* Django forms: an object, filled in as a posted form; the handler gets the form, valid. `SerializedForm` takes what
  `serializeArray` makes, too.
* REST framework's serializers: the handler gets the serializer, valid. Pydantic models: `model_validate`, as strict as
  the model's own configuration says.
* Every other class and callable, such as `RE` and `Choice`: called with the value. ValueError, TypeError,
  ArithmeticError and Django's ValidationError refuse it, and None keeps it as it is.
* `Annotated[T, validator, ...]`: T, then each validator that can be called.

A parameter whose default is None takes null.

Source: rows S-03, S-20 to S-23 and W-F18.
"""

from dtws_sio.validation.converter import Converter, make_converter
from dtws_sio.validation.forms import SerializedForm
from dtws_sio.validation.named import NamedConverter, copied, make_named_converter
from dtws_sio.validation.validators import RE, Choice

__all__ = [
    "RE",
    "Choice",
    "Converter",
    "NamedConverter",
    "SerializedForm",
    "copied",
    "make_converter",
    "make_named_converter",
]
