"""One command a file; what is heavy is imported when the command runs, so that --help stays fast."""
