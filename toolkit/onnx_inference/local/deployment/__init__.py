"""From an app to what is deployed: synthesis, the cloud assembly, bootstrap, the CDK CLI and the quick path."""
