"""The commands that work without a running operator: audit, accounts, plan, release; their input files and tables.

It may import `remediation`, `passes`, `aws` and below, and loads no Kubernetes client before it is needed.
"""
