"""Finds in CloudFormation templates what CDK and CloudFormation let through, and what hurts a serverless service later.

The checks read any template, whether or not it was made with this library's constructs.

    onnx-inference doctor cdk.out                                                       a command
    Validations.of(app).add_plugins(ServerlessInferenceChecks())                        a part of each synth
"""
