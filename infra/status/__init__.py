"""What `windvane status` shows: books, groups and lag on one page."""
