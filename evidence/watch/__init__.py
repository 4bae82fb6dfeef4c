"""What happens now in a live run, in the terminal and in TensorBoard."""
