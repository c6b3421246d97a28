"""Spec to manifests, pure: what the operator wants to exist in the API server."""
