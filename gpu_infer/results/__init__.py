"""What a run writes, one kind of output per module: its files, its section of the report, and its places."""
