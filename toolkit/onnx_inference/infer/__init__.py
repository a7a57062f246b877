"""A client of the Open Inference Protocol, and its command.

model = Model(EndpointClient("https://..."), "digits")
print(model.infer({"image": image}).outputs[0].array)
"""

from onnx_inference.infer.http_client import EndpointClient, RequestFailed
from onnx_inference.infer.open_inference import InferenceResponse, Model
from onnx_inference.infer.tensors import TensorMismatch

__all__ = ["EndpointClient", "InferenceResponse", "Model", "RequestFailed", "TensorMismatch"]
