"""Prometheus metrics over the last known state; names and labels are a contract with dashboards and alerts.

It may import `reporting` and below.
"""
