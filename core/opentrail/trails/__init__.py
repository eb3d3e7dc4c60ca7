"""Who wants what: trails, event selectors, and the configuration they stand in."""
