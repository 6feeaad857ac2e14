"""Every way to weigh agents on the same markets, beside references: seeds or a file in, a table out."""
