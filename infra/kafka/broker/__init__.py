"""A connection to a broker: settings, clients, the layout of topics, signatures, stored states."""
