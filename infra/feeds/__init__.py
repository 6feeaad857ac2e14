"""Live market feeds: what an exchange publishes about one symbol, in the order in which it arrives."""
