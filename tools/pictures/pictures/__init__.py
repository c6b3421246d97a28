"""Pictures of the documentation, made by code: `python -m pictures terminal|dashboards`."""
