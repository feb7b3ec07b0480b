"""A session: what many runs with one configuration share."""
