"""Users of another kind: without permissions, and with something else that is called "groups"."""

import uuid

from django.contrib.auth.models import AbstractBaseUser, BaseUserManager
from django.db import models


class Sailor(AbstractBaseUser):
    """Knows no permissions, and no `is_staff`."""

    USERNAME_FIELD = "name"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4)
    name = models.CharField(max_length=100, unique=True)
    is_active = models.BooleanField(default=True)

    objects = BaseUserManager["Sailor"]()


class Watch(models.Model):
    """Who is on watch together."""

    sailors = models.ManyToManyField(Sailor, related_name="groups")

    def __str__(self) -> str:
        return f"watch {self.pk}"
