"""What to do: agents, which turn features into target positions and know nothing of the rest."""
