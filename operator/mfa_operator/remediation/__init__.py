"""Taking console access away, and giving it back: plan, publish the intent, check again live, act, record the outcome.

The planner is pure. Everything else writes its intent to the MfaReport before it calls AWS. It may import `passes` and
what is below.
"""
