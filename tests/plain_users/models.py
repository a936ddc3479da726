"""The least a user can be."""

from django.contrib.auth.base_user import AbstractBaseUser
from django.db import models


class Account(AbstractBaseUser):
    """Somebody with a name."""

    name = models.CharField(max_length=20, unique=True)
    USERNAME_FIELD = "name"
