"""Which policy is due when: the queue of policies, intervals with jitter, retries, wake-ups, the heartbeat.

It decides when a pass runs and never what the pass does. It may import `kube.errors`, `config` and below.
"""
