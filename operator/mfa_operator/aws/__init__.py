"""Everything that talks to AWS: sessions, the facts of an audit, the calls that take access away. boto3 stays in here.

It may import `scheduling`, `config`, `evaluation` and below. It knows no Kubernetes.
"""
