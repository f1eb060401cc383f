"""One table, so that the project has models to break."""

from django.db import models


class Note(models.Model):
    """A line of text."""

    text = models.CharField(max_length=100)

    def __str__(self) -> str:
        return self.text
