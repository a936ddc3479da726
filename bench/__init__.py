"""`make bench`: what a delivery costs with `live`, beside a stock Channels consumer measured in the same run.

`load.c` is the client, `site.py` and `stock/` the two servers, `measure.py` one run, `__main__.py` the whole.
`ingest.py` measures how fast metrics come in, `cluster.py` several nodes with Redis between them.
"""
