"""A local exchange: captured trades and quotes served in Binance's protocol, with faults on demand."""
