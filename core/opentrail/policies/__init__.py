"""Resource policies, as AWS has them: who may do what with a bucket, a key, a topic or a channel."""
