"""Alembic's folder: the schema's revisions. `opentrail_backends.state.migration` runs them."""
