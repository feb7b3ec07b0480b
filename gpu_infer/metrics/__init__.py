"""Counters of a batch in Prometheus' text format, over HTTP and in a file. docs/metrics.md lists them."""
