"""A live book: what comes from a feed made into its rows, its history, and who is told of what."""
