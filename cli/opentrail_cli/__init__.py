"""The `opentrail` command: composes the services, for one machine or one service at a time."""
