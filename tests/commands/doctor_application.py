"""An application under a name of its own, so that tests find their servers and nobody else's."""


async def application(scope, receive, send):
    """Answers nothing."""
