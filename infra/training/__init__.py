"""How the weights that ship with the package are made, from seeds. Only this folder imports torch."""
