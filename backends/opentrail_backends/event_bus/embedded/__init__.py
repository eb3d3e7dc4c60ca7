"""The embedded event bus: one SQLite file, for one machine and any number of its processes."""
