"""What every other room of the metamodel stands on: settings, rows, accounts, bytes of weights and versions."""
