"""Version v1alpha1 of the API: what users ask for, what the parts answer."""
