"""Something that belongs to somebody, and something that lets people into rooms."""

from django.contrib.auth.models import User
from django.db import models


class Article(models.Model):
    """What its owner may change, and what has a room of its own."""

    owner = models.ForeignKey(User, models.CASCADE)

    def __str__(self) -> str:
        return f"article {self.pk}"


class Membership(models.Model):
    """Who may enter which room of /library."""

    user = models.ForeignKey(User, models.CASCADE)
    room = models.CharField(max_length=100)

    def __str__(self) -> str:
        return f"{self.user} in {self.room}"
