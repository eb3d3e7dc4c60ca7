"""One file per revision of the schema. A released one is never changed."""
