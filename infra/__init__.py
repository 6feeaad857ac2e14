"""All that touches the world: files, journals, reports, Kafka, metrics, training, the command line."""
