"""The operator's process: parts put together, leader election, the watch, health, logs, and an end within 5 seconds.

kopf is imported here only. It may import everything but `cli` and `offline`.
"""
