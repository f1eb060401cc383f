"""
The functions that pages and this server call on each other. The pages are in templates/live/.

| signal               | who calls it            | what it does                                                        |
|----------------------|-------------------------|---------------------------------------------------------------------|
| `live.article`       | a page that comes back  | sends the article to that window, as it is now                      |
| `live.check_booking` | the form, while typing  | tells what is wrong; see forms.py                                   |
| `live.book`          | the form                | takes the booking, and answers                                      |
| `live.digest`        | the form with a file    | answers with the size and the digest of the file                    |
| `live.show`          | a button                | calls one of the built-in signals of that window                    |
| `live.put_back`      | a button                | shows what that window had before                                   |
| `live.report`        | a button                | works for a while in another process, and tells that window of it   |

Everybody may call these, so each answers the window that called and nobody else.
"""

from __future__ import annotations

import hashlib
import time
from typing import TYPE_CHECKING, Any, Final

from django.db.models.signals import post_delete, post_save
from django.dispatch import receiver
from dtws_sio import rate_limit
from dtws_sio.signals import (
    WINDOW,
    Choice,
    SerializedForm,
    everyone,
    render_to_string,
    signal,
    trigger,
    trigger_signal,
)

from live.builtin import DEMOS
from live.forms import BookingForm, FileForm
from live.models import Article

if TYPE_CHECKING:
    from dtws_sio.signals import WindowInfo

STEPS: Final = 20


# A live article


@receiver(post_save, sender=Article)
def show_saved(instance: Article, raw: bool, **kwargs: Any) -> None:
    """Replace an article in every window that shows it, once what was saved can be read by all."""
    if not raw:
        trigger_signal(None, "html.replace_with", to=instance, kwargs=replacement(instance), on_commit=True)


@receiver(post_delete, sender=Article)
def show_deleted(instance: Article, **kwargs: Any) -> None:
    """Say that it is gone."""
    gone = {"selector": "#article .changed", "content": "This article was deleted."}
    trigger_signal(None, "html.text", to=instance, kwargs=gone, on_commit=True)


def replacement(article: Article, window_info: WindowInfo | None = None) -> dict[str, str]:
    """Return what `html.replace_with` takes. The template has escaped what people wrote."""
    html = render_to_string("live/_article.html", {"article": article}, window_info)
    return {"selector": "#article", "content": html}


@signal("live.article", is_allowed_to=everyone)
@rate_limit("2/s")
def article(window_info: WindowInfo, pk: int) -> None:
    """Send an article to a window that was away while it may have changed."""
    for found in Article.objects.filter(pk=pk):
        trigger(window_info, "html.replace_with", to=WINDOW, **replacement(found, window_info))


# A form


@signal("live.book", is_allowed_to=everyone)
@rate_limit("30/m")
def book(window_info: WindowInfo, form: SerializedForm(BookingForm)) -> dict[str, Any]:
    """Take a booking; here that is to say so. A form that is not valid never comes here."""
    booking = form.cleaned_data
    thanks = f"Thank you, {booking['name']}: a table for {booking['seats']} on {booking['day']:%d %B}."
    trigger(window_info, "html.text", to=WINDOW, selector="#thanks", content=thanks)
    return {"seats": booking["seats"]}


@signal("live.digest", is_allowed_to=everyone)
@rate_limit("30/m")
def digest(window_info: WindowInfo, form: SerializedForm(FileForm)) -> dict[str, Any]:
    """Answer with what arrived of a file."""
    file = form.cleaned_data["file"]
    return {"name": file.name, "size": file.size, "sha256": hashlib.sha256(file.read()).hexdigest()}


# Built-in signals


@signal("live.show", is_allowed_to=everyone)
@rate_limit("10/s")
def show(window_info: WindowInfo, which: Choice(list(DEMOS))) -> None:
    """Call a built-in signal of the window that asks."""
    trigger(window_info, which, to=WINDOW, **DEMOS[which].options)


@signal("live.put_back", is_allowed_to=everyone)
@rate_limit("10/s")
def put_back(window_info: WindowInfo, which: Choice(list(DEMOS))) -> None:
    """Show what was there before."""
    demo = DEMOS[which]
    trigger(window_info, "html.content", to=WINDOW, selector=f"#{demo.slug}", content=demo.html)


# A task


@signal("live.report", is_allowed_to=everyone, queue="reports")
@rate_limit("6/m")
def report(window_info: WindowInfo) -> None:
    """Work for a few seconds in whatever works off the queue "reports", and report to the window that asked."""
    started = time.monotonic()
    for number in range(1, STEPS + 1):
        time.sleep(0.15)
        trigger(window_info, "html.text", to=WINDOW, selector="#step", content=f"Chapter {number} of {STEPS}")
        trigger(
            window_info, "html.add_attribute", to=WINDOW, selector="#done", attr_name="value", attr_value=str(number)
        )
    took = f"The report is ready. It took {time.monotonic() - started:.1f} seconds."
    trigger(window_info, "html.text", to=WINDOW, selector="#step", content=took)
