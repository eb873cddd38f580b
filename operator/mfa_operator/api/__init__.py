"""The API group mfa-operator.io/v1alpha1: typed models, enumerations, conversion from and to the dicts of YAML.

Pure, and it imports nothing else of ours.
"""
