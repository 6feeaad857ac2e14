"""The command line: one command a file; what is heavy is imported when the command runs."""
