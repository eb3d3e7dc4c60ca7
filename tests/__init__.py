"""The tests of OpenTrail."""
