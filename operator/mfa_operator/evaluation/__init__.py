"""Judging: from facts about an account's users to a verdict for each.

Pure: no AWS, no Kubernetes, no clock; `now` is an argument. It holds the facts, the reading of the credential report,
the rules that say which facts suffice and what must be read live, the cache of live lookups, exemptions and
verdicts. It may import `api` only.
"""
