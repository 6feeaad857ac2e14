"""What other programs are told of the topics: JSON Schemas of all messages and an AsyncAPI document, generated."""
