"""Which accounts a policy covers: those its spec names, and those of an AWS organization.

Pure: it may import `api`, and is told what was listed and what time it is.
"""
