"""The producer: an event is accepted only once the event bus has it."""
