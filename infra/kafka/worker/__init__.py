"""Runs one stage as a process on partitions of its topics."""
