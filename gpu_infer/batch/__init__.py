"""Many cases, one command: cases, engines, the state on the disk, the summary."""
