"""Market files: recognised, checked, and read into columns."""
