"""Event history's way from the bus into the index: a consumer group of its own, beside delivery.

`indexer` is the service; `share` works through the partitions that the bus gives it; `messages` reads what lies on the
bus. LookupEvents (`operations.lookup_events`) reads the index.
"""
