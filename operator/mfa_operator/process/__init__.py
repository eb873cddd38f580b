"""The operator's process: start and stop (`lifecycle`), what the leader does (`leader`), the watch, health and logs.

kopf is imported here only. It may import everything but `cli` and `offline`.
"""
