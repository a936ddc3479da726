"""The holder of the permission ``live.push``; no table."""

from django.db import migrations, models


class Migration(migrations.Migration):
    initial = True

    dependencies = []

    operations = [
        migrations.CreateModel(
            name="Permissions",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
            ],
            options={
                "verbose_name": "permissions of live",
                "verbose_name_plural": "permissions of live",
                "permissions": [("push", "Can push metrics to streams")],
                "managed": False,
                "default_permissions": (),
            },
        ),
    ]
