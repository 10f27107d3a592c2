"""The sources of events: files, sockets, HTTP, Kafka, NATS."""
