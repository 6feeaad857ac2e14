"""Classifies the regime of a market, and scores such labels against true ones."""
