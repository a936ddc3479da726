"""What one process can do at the most, on daphne and on uvicorn: `make bench WHAT=limits`.

Each server is measured three times in the same run: with `live`, with a consumer of Channels as its tutorial has it,
and bare, with an application that only accepts. Everything else is as on a real site: a session and a user for each
client, the Redis channel layer, the handlers of the app. The server has a core for itself; clients, Redis and what
measures share another. `deliveries.py`, `many.py` and `slow.py` measure, `table.py` says what must be reached,
`plot.py` draws.
"""
