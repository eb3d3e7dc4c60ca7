"""The event bus on Apache Kafka, by kafka-python: a topic per region."""
