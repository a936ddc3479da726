"""What ``manage.py live`` does: one module a subcommand, each either in this process or on a running site."""
