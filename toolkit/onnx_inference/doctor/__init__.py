"""Finds in CloudFormation templates what CDK and CloudFormation let through, and what hurts a serverless service later.

The checks need no knowledge of this library's constructs: they read templates, of whatever made them.

    onnx-inference doctor cdk.out                                                       a command
    Validations.of(app).add_plugins(ServerlessInferenceChecks())                        a part of each synth
"""
