"""IAM's events from an SQS queue: what a message says, and which accounts and users are to be read again because of it.

A message is a hint to audit an account now and nothing more: whoever may write into the queue can write anything.
Nothing in a message reaches a verdict. It may import `aws`, `scheduling`, `metrics` and below.
"""
