"""From verdicts to what people read: MfaReport.status, MfaPolicy.status, Events and the figures behind the metrics.

Pure, like `evaluation`. Every text and list is cut to what its field and one Kubernetes object can hold. It may import
`evaluation`, `organization`, `config.settings` and `api`.
"""
