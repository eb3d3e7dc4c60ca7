"""Delivery: from the bus to signed files, each accepted event in exactly one log file of each trail that wants it.

The protocol has ten numbered steps (docs/life-of-an-event.md). Where each is done:

* 1, 2, 3, 5, 6  `partition_delivery`: owning a partition, reading, closing a window, the ledger's writes
* 2, 3           `window_build`: which trails want which events, and the files that this makes
* 4              `log_file_put`: putting log files, create-only
* 7, 8           `digest_builder`: building a digest on its chain's head
* 9, 10          `digest_put`: putting digests
* `service` runs all of it in one process.
"""
