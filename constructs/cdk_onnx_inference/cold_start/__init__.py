"""What is done about cold starts."""
