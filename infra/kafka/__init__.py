"""The same topology on Kafka: settings, topics, signed controls, and what binds a stage to them."""

import logging

logging.getLogger("aiokafka").addHandler(
    logging.NullHandler()
)  # a person reads our sentences, a service its log
