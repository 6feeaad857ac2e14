"""How events flow: event types, topics, the topology as data, pure stages, and the embedded runner."""
