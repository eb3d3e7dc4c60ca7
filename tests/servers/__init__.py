"""Real servers for the tests: Kafka, MinIO, versitygw, PostgreSQL, moto, and the AWS CLI as the judge.

Where a server is looked for, in this order: an address in the environment, what the user's cache holds or can
build, a container if a Docker daemon answers. `python -m tests.servers get` fills the cache.
"""
