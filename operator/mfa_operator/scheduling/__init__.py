"""Which policy is due when: the queue of policies, intervals with jitter, retries, hints of events, the heartbeat.

It decides when a pass runs and never what the pass does. With it stand what passes share: the threads that namespaces
take turns in, and the guard that asks for the Lease. It may import `kube.errors`, `config` and below.
"""
