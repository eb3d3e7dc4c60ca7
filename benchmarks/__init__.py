"""What OpenTrail costs, measured on the machine at hand: `python -m benchmarks`. Never a test."""
