"""What should be so on this node: values in, values out."""
