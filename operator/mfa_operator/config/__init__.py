"""The operator's own configuration: flags and environment, the access file and its rules, YAML with line numbers.

It may import `api` only. Nothing here knows AWS or Kubernetes.
"""
