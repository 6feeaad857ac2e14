"""Trains the weights that ship with the package, from seeds. Beside `policies`, only this folder trains with torch."""
