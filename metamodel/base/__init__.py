"""What all other packages of the metamodel import: settings, rows, accounts, weights as bytes, versions of states."""
