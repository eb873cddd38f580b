"""A Kubernetes operator that audits AWS accounts for IAM users who can sign in to the console without MFA."""

__version__ = "0.1.0"
