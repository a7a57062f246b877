"""A small stand-in for CodeDeploy: it moves a function's alias to a new version as CodeDeploy does."""
