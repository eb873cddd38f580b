"""A person at a terminal who enables an MFA device: prompts, a seed that leaves no trace, signals held back.

What talks to AWS for it is in `aws`. It imports nothing else of ours.
"""
