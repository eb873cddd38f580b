"""The API group mfa-operator.io/v1alpha1: typed models, enumerations, conversion. Imports nothing else of ours."""
