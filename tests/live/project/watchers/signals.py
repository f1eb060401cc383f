"""Signals of the live tests: one for each kind of caller, and one for each way to answer."""

import os
from datetime import date

from django.contrib.auth.models import User

from dtws_sio.signals import WINDOW, everyone, is_authenticated, is_staff, signal, trigger, trigger_signal


@signal("who", everyone)
def who(window_info):
    return {"name": window_info.username, "users": User.objects.count(), "pid": os.getpid()}


@signal("plan", is_authenticated)
def plan(window_info, day: date, *, seats: int = 1):
    return f"{seats} on {day:%A}"


@signal("staff", is_staff)
def staff(window_info):
    return "welcome"


@signal("secret")
def secret(window_info):
    raise AssertionError("a page called it")


@signal("work", everyone)
def work(window_info, n: int):
    trigger(window_info, "worked", to=WINDOW, n=n)


@signal("remind", everyone)
def remind(window_info, seconds: float):
    trigger_signal(window_info, "reminded", to=WINDOW, countdown=seconds)


@signal("report", everyone, queue="slow")
def report(window_info, year: int):
    trigger(window_info, "progress", to=WINDOW, year=year)
    return f"report of {year}"
