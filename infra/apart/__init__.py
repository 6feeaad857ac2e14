"""Agents that run in a process of their own, so that one that hangs holds up nobody."""
