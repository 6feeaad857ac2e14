"""Access to a broker: settings, clients, the layout of topics, signatures, and stored states."""
