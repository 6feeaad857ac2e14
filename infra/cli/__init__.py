"""The command line: one file for each command, which imports what is heavy when it runs, so that help is fast."""
