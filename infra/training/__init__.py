"""Trains the weights that ship with the package, from seeds. Only this folder imports torch."""
