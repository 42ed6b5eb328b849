"""The harness: cases that are timed beside their peers and the machine's limits, in turns, in one run."""
