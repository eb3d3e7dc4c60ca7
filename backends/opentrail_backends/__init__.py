"""Every socket and file of OpenTrail: ports (small Protocols) beside their adapters.

* `event_bus`: Kafka, or one SQLite file
* `object_store`: S3, a local directory, memory
* `key_management`: local keys, AWS KMS
* `state`: SQLite or PostgreSQL through SQLAlchemy
"""
