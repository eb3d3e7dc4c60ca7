"""Two buckets, of which one misbehaves, and a spool."""

GOOD, BAD, SPOOL = "good-bucket", "bad-bucket", "spool-bucket"


def parked(world):
    return world.state.ledger.parked_files(100)


def copies(world):
    return [info.key for info in world.store.list(SPOOL)]
