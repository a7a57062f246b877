"""Serves one ONNX model by the Open Inference Protocol v2 inside an AWS Lambda container.

Every module that is a function's command is a room of its own: `http` answers API events. Nothing here imports
boto3 on the synchronous path, and nothing is imported that a cold start does not need.
"""

__version__ = "0.1.0"
