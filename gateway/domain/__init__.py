"""The pure part: calls, replies, errors, prompts, diffs. No I/O, no clock of its own."""
