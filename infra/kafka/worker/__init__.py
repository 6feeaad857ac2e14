"""One stage as a process on the partitions of its topics."""
