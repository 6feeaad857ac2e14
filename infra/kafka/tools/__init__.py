"""What people do with the topics: send controls, replay, export, subscribe to orders."""
