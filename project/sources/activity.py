"""The demo's log of what people do: who signed in and out, and which dashboard was saved. See `LOGGING`."""

import logging
from functools import partial

from django.contrib.auth.signals import user_logged_in, user_logged_out, user_login_failed
from django.core.exceptions import SynchronousOnlyOperation
from django.db import transaction
from django.dispatch import receiver

from live.signals import dashboard_changed

logger = logging.getLogger("project.activity")


@receiver(user_logged_in)
def signed_in(sender, user, **kwargs):
    """Note who signed in."""
    logger.info("%s signed in", user)


@receiver(user_logged_out)
def signed_out(sender, user, **kwargs):
    """Note who signed out; a session that had ended already has no user."""
    if user is not None:
        logger.info("%s signed out", user)


@receiver(user_login_failed)
def refused(sender, **kwargs):
    """Note the attempt without the name: people type their password there."""
    logger.warning("a sign-in failed")


@receiver(dashboard_changed)
def dashboard_was_changed(sender, uid, action, user=None, **kwargs):
    """Note what was stored; a change that is rolled back is none."""
    text = f"dashboard {uid} {action}" + (f" by {user}" if user is not None else "")
    note = partial(logger.info, "%s", text)
    try:
        transaction.on_commit(note)
    except SynchronousOnlyOperation:
        # Async code sends it after the change.
        note()
