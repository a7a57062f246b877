"""From an app to deployed stacks: synthesis, the cloud assembly, bootstrap, CloudFormation's API and the CDK CLI."""
