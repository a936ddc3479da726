"""What the demo starts with: the log of what people do there, and how many there are of what in its database."""

from . import sql, tail

QUERY = """\
select
  (select count(*) from dashboards_dashboard) as dashboards,
  (select count(*) from auth_user where is_active) as users,
  (select count(*) from django_session where expire_date > datetime('now')) as sessions"""

SOURCES = {
    "activity": ("Activity of the demo", tail.PLUGIN, {"file": "activity.log", "lines": 20}),
    "numbers": ("Numbers of the demo", sql.PLUGIN, {"query": QUERY, "seconds": 2}),
}
"""uid -> (name, plugin, settings). The uids are fixed, so that a second start finds what the first one made."""
