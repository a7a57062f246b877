"""Lambda functions, with their versions and the alias that everything invokes."""
