"""A client of the job API: submit, wait, map over many, and redrive what failed.

client = JobsClient("https://...", "digits")
job = client.submit({"image": image})
print(client.result(job, timeout=300).outputs[0].array)
"""

from onnx_inference.infer.http_client import RequestFailed
from onnx_inference.infer.open_inference import InferenceResponse
from onnx_inference.infer.tensors import TensorMismatch
from onnx_inference.jobs.client import JobsClient
from onnx_inference.jobs.job import Job, JobError, JobNotFinished, JobOutcome, new_job_id

__all__ = [
    "InferenceResponse",
    "Job",
    "JobError",
    "JobNotFinished",
    "JobOutcome",
    "JobsClient",
    "RequestFailed",
    "TensorMismatch",
    "new_job_id",
]
