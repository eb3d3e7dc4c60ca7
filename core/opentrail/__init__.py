"""The rules of OpenTrail: bytes and values in, values out.

Nothing in here opens a socket or a file, reads a clock or the environment, or writes a log line.

* `opentrail.evidence`: what lies in the bucket, and how it is proven
* `opentrail.events`: the CloudTrail record and the batch that travels on the event bus
* `opentrail.trails`: trails, event selectors, organizations: who gets which event
"""
