"""Trading with an ensemble row by row, with its agents, regime classifier and records."""
