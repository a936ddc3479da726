"""The holder of the permissions ``live.view_overview`` and ``live.disconnect``; no table."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("live", "0001_initial")]

    operations = [
        migrations.CreateModel(
            name="Overview",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
            ],
            options={
                "verbose_name": "nodes and clients",
                "verbose_name_plural": "nodes and clients",
                "permissions": [("disconnect", "Can disconnect clients")],
                "managed": False,
                "default_permissions": ("view",),
            },
        ),
    ]
