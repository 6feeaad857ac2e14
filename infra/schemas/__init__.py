"""Generates the documents about the topics for other programs: JSON Schemas of all messages, and AsyncAPI."""
