"""The data source: which plugin reads it, and with which settings."""

from django.core.exceptions import ValidationError
from django.core.validators import RegexValidator
from django.db import models

from . import sql, tail

CHECKS = {tail.PLUGIN: tail.read_settings, sql.PLUGIN: sql.read_settings}
"""Plugin id -> what makes sense of its settings, or raises ValueError."""


class DataSource(models.Model):
    """One source: `ds/<uid>/<path>` is what its plugin makes of its settings.

    Whoever may change sources decides what the server reads, so the permission is one for administrators.
    """

    uid = models.CharField(max_length=40, unique=True, validators=[RegexValidator(r"\A[A-Za-z0-9_-]+\Z")])
    name = models.CharField(max_length=120)
    plugin = models.CharField(
        max_length=40, choices=[(tail.PLUGIN, "the end of a log file"), (sql.PLUGIN, "a query of the database")]
    )
    settings = models.JSONField(
        default=dict,
        help_text='Log file: {"file": "activity.log", "lines": 10}. '
        'Query: {"query": "select count(*) as dashboards from dashboards_dashboard", "seconds": 5}.',
    )

    class Meta:
        ordering = ["name", "uid"]

    def __str__(self):
        return self.name

    def clean(self):
        """Refuse settings that the plugin could not run with; it looks at them again, as they may come otherwise."""
        check = CHECKS.get(self.plugin)
        if check is None:
            return  # the field says so
        try:
            check(self.settings)
        except ValueError as problem:
            raise ValidationError({"settings": str(problem)}) from problem
