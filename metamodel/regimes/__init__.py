"""Which regime the market is in: the classifier, and how well it does."""
