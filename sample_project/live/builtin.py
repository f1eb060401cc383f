"""One demonstration of each built-in signal: what is on the page, and what the server calls."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from django.utils.html import format_html

ITEM: Final = '<span class="item">a</span>'
NEW: Final = '<span class="item new">new</span>'
FIELD: Final = '<label class="item">Box <input type="checkbox"></label>'
FORM: Final = (
    '<form class="stack">'
    '<label>Title <input name="title"></label>'
    '<label>Text <textarea name="text" rows="2"></textarea></label>'
    "<fieldset><legend>Kinds</legend>"
    '<label><input type="checkbox" name="kinds" value="tea"> Tea</label> '
    '<label><input type="checkbox" name="kinds" value="cake"> Cake</label></fieldset>'
    "<fieldset><legend>Size</legend>"
    '<label><input type="radio" name="size" value="s" checked> Small</label> '
    '<label><input type="radio" name="size" value="l"> Large</label></fieldset>'
    '<label>Where <select name="where"><option value="in">Inside</option>'
    '<optgroup label="Outside"><option value="garden">Garden</option></optgroup></select></label>'
    '<label>Days <select name="days" multiple size="3"><option value="1">Monday</option>'
    '<option value="2">Tuesday</option><option value="3">Wednesday</option></select></label></form>'
)
VALUES: Final = [
    {"name": "title", "value": "Set by the server"},
    {"name": "text", "value": "One line,\nand another."},
    {"name": "kinds", "value": ["cake"]},
    {"name": "size", "value": "l"},
    {"name": "where", "value": "garden"},
    {"name": "days", "value": ["1", "3"]},
]


@dataclass(frozen=True)
class Demo:
    """
    A built-in signal at work.

    Args:
        name: The signal.
        about: What it does.
        html: What it is done to; it stands below an element whose id is `slug`.
        arguments: What the signal takes; the selector is below that element.
    """

    name: str
    about: str
    html: str
    arguments: dict[str, Any]

    @property
    def slug(self) -> str:
        """The id of the element."""
        return self.name.replace(".", "-").replace("_", "-")

    @property
    def options(self) -> dict[str, Any]:
        """What the signal is called with."""
        given = dict(self.arguments)
        if "selector" in given:
            given["selector"] = f"#{self.slug} {given['selector']}"
        return given

    @property
    def code(self) -> str:
        """How the server calls it, to be shown."""
        short = {name: value[:1] if name == "values" else value for name, value in self.options.items()}
        options = "".join(f",\n    {name}={value!r}" for name, value in short.items())
        return f"trigger(\n    window_info,\n    {self.name!r},\n    to=WINDOW{options},\n)".replace("}])", "}, ...])")


def _demo(name: str, about: str, html: str = ITEM, /, selector: str | None = ".item", **arguments: Any) -> Demo:
    given = arguments if selector is None else {"selector": selector, **arguments}
    return Demo(name, about, html, given)


DEMOS: Final = {
    demo.name: demo
    for demo in (
        _demo("html.text", "Puts text in: the one for whatever people wrote.", content="<b>is text</b>"),
        _demo("html.content", "Puts HTML in, which is trusted.", content=format_html("<em>{}</em>", "<HTML>")),
        _demo("html.append", "Adds HTML at the end inside.", content=NEW),
        _demo("html.prepend", "Adds HTML at the beginning inside.", content=NEW),
        _demo("html.after", "Adds HTML behind.", content=NEW),
        _demo("html.before", "Adds HTML in front.", content=NEW),
        _demo("html.replace_with", "Puts HTML in its place.", content=NEW),
        _demo("html.empty", "Takes out what is in it."),
        _demo("html.remove", "Takes it away."),
        _demo("html.add_class", "Adds classes, several at once.", class_name="new wide"),
        _demo(
            "html.remove_class",
            "Takes classes away; all of them if none is named.",
            '<span class="item new wide">a</span>',
            class_name="new wide",
        ),
        _demo(
            "html.add_attribute",
            "Sets an attribute.",
            '<a class="item">a</a>',
            attr_name="href",
            attr_value="#main",
        ),
        _demo(
            "html.remove_attr",
            "Takes an attribute away.",
            '<a class="item" href="#main">a</a>',
            attr_name="href",
        ),
        _demo(
            "html.boolean_attribute",
            "Switches what is on or off: ticks, locks, hides.",
            FIELD,
            selector="input",
            name="checked",
            value=True,
        ),
        _demo("html.focus", "Moves the focus, and scrolls there.", '<input class="item" aria-label="A field">'),
        _demo(
            "html.download_file",
            "Has the browser save a file, from http, https or blob addresses.",
            "<p>See your downloads.</p>",
            selector=None,
            url="/live/report.txt",
            filename="report.txt",
        ),
        _demo("html.forms.set", "Fills in a form.", FORM, selector="form", values=VALUES),
    )
}
"""All seventeen, by name."""
