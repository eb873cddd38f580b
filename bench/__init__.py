"""Measures what the product promises about calls, time and memory. `make bench` runs it; see README.md."""
