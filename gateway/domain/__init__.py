"""The pure part: what calls, replies, errors, prompts and diffs are. No I/O, no clock of its own."""
