"""What `kubectl sentinel` says of a cluster and asks of it; everything goes through the API server."""
