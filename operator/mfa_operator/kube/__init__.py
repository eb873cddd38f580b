"""Kubernetes: the connection, requests with bounded retries, the only writer of objects, the Lease.

It may import `config`, `reporting` and below. Only this package and `process` know the Kubernetes client.
"""
