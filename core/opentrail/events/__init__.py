"""What happened: the CloudTrail record, its category, and the batch that travels on the bus."""
