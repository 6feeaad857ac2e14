"""The settings of the meta-learner as people set them: names, types and ranges in one table, and presets."""
