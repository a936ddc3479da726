"""``manage.py live token USER``: the key that agents push with."""

from __future__ import annotations

import argparse
from typing import Any

from django.apps import apps
from django.contrib.auth import get_user_model
from django.db import DatabaseError, transaction

from live.commands.base import Console, Subcommand, refused

PUSH = "live.push"


class TokenCommand(Subcommand):
    """Shows the user's token, makes one where there is none; the key is all that is printed."""

    name = "token"
    help = "show the API token of a user, made where there is none"
    examples = """\
examples:
  manage.py live token telegraf
  export LIVE_TOKEN=$(manage.py live token telegraf)
  manage.py live token telegraf --rotate      # the old key is of no use from now on"""

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Its arguments."""
        parser.add_argument("user", metavar="USER", help="name of the user")
        parser.add_argument("--rotate", action="store_true", help="replace the token by a new one")

    def run(self, options: dict[str, Any], console: Console) -> None:
        """Prints it."""
        if not apps.is_installed("rest_framework.authtoken"):
            raise refused("tokens need 'rest_framework.authtoken' in INSTALLED_APPS, and then `manage.py migrate`")
        # A model can be imported only where its app is installed.
        from rest_framework.authtoken.models import Token

        model = get_user_model()
        try:
            user = model._default_manager.get(**{model.USERNAME_FIELD: options["user"]})
            # In one step: agents are never without any token.
            with transaction.atomic():
                if options["rotate"]:
                    Token.objects.filter(user=user).delete()
                token, _ = Token.objects.get_or_create(user=user)
        except model.DoesNotExist:
            raise refused(f"there is no user {options['user']!r}") from None
        except DatabaseError as error:
            raise refused(f"the database says: {error}; was `manage.py migrate` run?") from None
        console.line(token.key)
        if not user.is_active:
            console.note(f"hint: the user {options['user']} is not active, so the token is refused")
        elif not user.has_perm(PUSH):
            console.note(f"hint: the user {options['user']} has not the permission {PUSH}, so pushes are answered 403")
