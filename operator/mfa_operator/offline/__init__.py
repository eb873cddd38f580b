"""The commands that work without a running operator: audit, accounts, plan and release, their input files and their tables.

It may import `remediation`, `passes`, `aws` and below, and loads no Kubernetes client before it is needed.
"""
