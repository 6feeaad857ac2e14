"""What people set: one table of names, types and ranges, presets, and the sentences that refuse."""
