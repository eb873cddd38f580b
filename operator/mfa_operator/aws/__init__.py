"""Everything that talks to AWS: boto3 stays in here."""
