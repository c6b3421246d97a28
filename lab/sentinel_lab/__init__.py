"""The testbed: namespaces, honest traffic, benchmarks; never imported by the product."""
