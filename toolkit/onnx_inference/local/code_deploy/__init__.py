"""A small stand-in for CodeDeploy: it does the steps by which CodeDeploy moves a function's alias, and nothing else."""
