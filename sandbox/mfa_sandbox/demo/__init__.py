"""`mfa-operator demo`: a made-up company on the embedded AWS, and the very same operator that runs in a cluster."""
