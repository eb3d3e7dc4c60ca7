"""Tampers with a bucket of evidence, as somebody would who has never seen the program that wrote it.

Only the standard library, cryptography and boto3: what is known of the evidence is what CloudTrail documents of it, and
what docs/object-store.md and docs/trust.md say of local directories and chain heads.
"""
