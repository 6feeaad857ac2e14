"""From ticks to the features that agents, classifier and learner see."""
