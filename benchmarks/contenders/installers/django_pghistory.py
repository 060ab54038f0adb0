"""Install django-pghistory; run by :mod:`benchmarks.contenders.environment` in its environment."""

import json
import sys
from types import ModuleType

import django
from django.apps import AppConfig
from django.conf import settings

task = json.load(sys.stdin)
address = task["address"]
# An application whose models are made below, from the task.
app = sys.modules["bench"] = ModuleType("bench")
sys.modules["bench.models"] = ModuleType("bench.models")
app.Config = type("Config", (AppConfig,), {"name": "bench", "path": "."})
settings.configure(
    INSTALLED_APPS=["pgtrigger", "pghistory", "bench.Config"],
    DATABASES={
        "default": {
            "ENGINE": "django.db.backends.postgresql",
            "NAME": address["dbname"],
            "USER": address["user"],
            "HOST": address["host"],
            "PORT": address["port"],
        }
    },
    USE_TZ=True,
    DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
)
django.setup()

import pghistory  # noqa: E402 (needs the settings)
import pgtrigger  # noqa: E402
from django.contrib.postgres.fields import ArrayField  # noqa: E402
from django.core.management import call_command  # noqa: E402
from django.db import connection, models  # noqa: E402

FIELDS = {
    "bigint": models.BigIntegerField,
    "text": models.TextField,
    "integer": models.IntegerField,
    "numeric": lambda **options: models.DecimalField(max_digits=12, decimal_places=2, **options),
    "text[]": lambda **options: ArrayField(models.TextField(), **options),
    "jsonb": models.JSONField,
    "boolean": models.BooleanField,
    "timestamptz": models.DateTimeField,
}


def model(table):
    fields = {
        name: models.BigAutoField(primary_key=True) if name == "id" else FIELDS[sql_type](null=True)
        for name, sql_type in table["columns"].items()
    }
    meta = type("Meta", (), {"db_table": table["name"], "app_label": "bench"})
    made = type(
        table["name"].title().replace("_", ""), (models.Model,), {**fields, "__module__": "bench.models", "Meta": meta}
    )
    trackers = (pghistory.InsertEvent(), pghistory.UpdateEvent(), pghistory.DeleteEvent())
    return pghistory.track(*trackers)(made)


tracked = [model(table) for table in task["tables"]]
call_command("migrate", "pghistory", verbosity=0)
with connection.schema_editor() as editor:
    for each in tracked:
        editor.create_model(each.pgh_event_model)
for each, trigger in pgtrigger.registered():
    if each in tracked:
        trigger.install(each)
