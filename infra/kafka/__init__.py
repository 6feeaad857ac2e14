"""Runs the stages of the topology on Kafka: settings, topics, signed controls, and workers."""

import logging

logging.getLogger("aiokafka").addHandler(
    logging.NullHandler()
)  # a person reads our sentences, a service its log
