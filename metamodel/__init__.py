"""Whom to believe: features, regimes, scores, weights, risk, accounts. Pure: numbers or bytes in and out."""
