"""Applications under names of their own, so that tests find their servers and nobody else's."""


async def application(scope, receive, send):
    """Answers nothing; no server of this machine serves it under this name."""


def __getattr__(name):
    """The same under each name that begins with ``served_by_``: tests that run side by side serve different ones."""
    if name.startswith("served_by_"):
        return application
    raise AttributeError(name)
