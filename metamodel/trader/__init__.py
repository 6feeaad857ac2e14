"""One ensemble asked row by row, with its agents, classifier and records around it."""
