"""How agents are scored and weighed: the learner, its members, and what it has learned as bytes."""
