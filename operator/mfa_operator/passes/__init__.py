"""One pass over one policy: its accounts audited side by side, each isolated from the others, and everything published.

It may import `aws`, `kube`, `metrics`, `scheduling` and below. It knows remediation only as a protocol that it calls.
"""
