"""Serves ONNX models by the Open Inference Protocol v2 inside an AWS Lambda container.

Every module that is a function's command is a room of its own: `http` answers API events, `publish` puts models on a
mount, `job_api`, `queue`, `dead_letters` and `sweep` are those of async inference. Only these last import boto3, when
they use it, and nothing is imported that a cold start does not need.
"""

import os

# When numpy is loaded, its OpenBLAS starts a thread for every further core, and each spins before it sleeps: CPU time
# that a cold start needs itself. The model does not run in OpenBLAS, so one thread will do; a processing file whose own
# linear algebra is large can set the variable on the function.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

__version__ = "0.1.0"
