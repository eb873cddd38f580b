"""The embedded AWS and Kubernetes that `mfa-operator demo`, the tests and the bench run against."""
