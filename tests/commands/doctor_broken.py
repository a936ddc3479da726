"""A module that cannot be imported, with a secret in its reason."""

raise ValueError("secret")
